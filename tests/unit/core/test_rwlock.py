from threading import Barrier, Event, Thread

from thumbmill.core.messaging.rwlock import ReaderWriterLock


def test_many_threads_share_the_lock():
    lock, meeting = ReaderWriterLock(), Barrier(3, timeout=10)

    def hold():
        with lock.shared():
            meeting.wait()  # passes only if all three hold it

    threads = [Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    hold()
    for thread in threads:
        thread.join()


def test_an_exclusive_request_waits_for_the_others_and_keeps_new_ones_out():
    lock, order = ReaderWriterLock(), []
    held, release, requested = Event(), Event(), Event()

    def first():
        with lock.shared():
            held.set()
            release.wait(10)
            order.append("first released")

    def exclusive():
        held.wait(10)
        requested.set()
        with lock.exclusive():
            order.append("exclusive")

    threads = [Thread(target=first), Thread(target=exclusive)]
    for thread in threads:
        thread.start()
    requested.wait(10)
    release.set()
    for thread in threads:
        thread.join(10)
    with lock.shared():
        order.append("after")
    assert order == ["first released", "exclusive", "after"]
