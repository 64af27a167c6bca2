from threading import Barrier, Event, Thread

from thumbmill.core.messaging.rwlock import ReaderWriterLock


def test_many_walk_side_by_side():
    aisle, meeting = ReaderWriterLock(), Barrier(3, timeout=10)

    def walk():
        with aisle.shared():
            meeting.wait()  # passes only if all three are inside

    threads = [Thread(target=walk) for _ in range(2)]
    for thread in threads:
        thread.start()
    walk()
    for thread in threads:
        thread.join()


def test_one_alone_waits_for_the_others_and_holds_them_off():
    aisle, order = ReaderWriterLock(), []
    inside, leave, asked = Event(), Event(), Event()

    def first():
        with aisle.shared():
            inside.set()
            leave.wait(10)
            order.append("first leaves")

    def loner():
        inside.wait(10)
        asked.set()
        with aisle.exclusive():
            order.append("alone")

    threads = [Thread(target=first), Thread(target=loner)]
    for thread in threads:
        thread.start()
    asked.wait(10)
    leave.set()
    for thread in threads:
        thread.join(10)
    with aisle.shared():
        order.append("after")
    assert order == ["first leaves", "alone", "after"]
