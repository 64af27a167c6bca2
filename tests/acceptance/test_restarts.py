"""Services restarted under load, and a frozen service that resumes with its messages."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from urllib.parse import quote

import httpx
import pytest

from tests.support.images import photo, red_quarter
from tests.support.messages import wait_idle, wait_tracker
from tests.support.outage_uploads import all_done_after, put_many
from tests.support.processes import PORT, another
from tests.support.system import PRESETS, PROCESSED
from tests.support.waiting import wait_until

IN_FLIGHT = 'thumbmill_messages_in_progress{queue="image_queue"}'
SERVICES = ("thumbnailer", "status-tracker", "gateway")
GRACE_SECONDS = 120


@contextmanager
def uploading(system, keys):
    """Upload by S3 all the time, each key added when it is stored; not so fast that it queues up."""
    stop = Event()

    def upload():
        while not stop.wait(0.2):
            key = f"restarts/{len(keys):03}.jpg"
            system.put(key, photo(seed=len(keys) + 1))
            keys.append(key)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(upload)
        try:
            yield
        finally:
            stop.set()
        running.result()


def test_restarts_under_load_lose_and_repeat_nothing(system, stack):
    with patient_stop(system), all_done_after(system) as keys, uploading(system, keys):
        for name in SERVICES:
            stored = len(keys)
            wait_until(lambda stored=stored: len(keys) >= stored + 10, what="some more uploads")
            if name == "thumbnailer":
                large = put_many(system, "in-flight", photo(3000, 2000, kind="PNG"), count=6)
                wait_until(
                    lambda: system.metric("THUMBNAILER_HEALTH_PORT", IN_FLIGHT) >= 2, what="two messages in flight"
                )
            stack.signal(name, signal.SIGTERM)
            assert stack.wait_exit(name, 2 * GRACE_SECONDS) == 0, stack.log_tail(name)
            stack.start(name)
        keys.extend(large)
    for key in keys:
        timeline = system.timeline(system.image_of(key)["id"])
        assert timeline.count("image.processing") <= 1, timeline  # the only event that may be lost


@contextmanager
def patient_stop(system):
    """Let the thumbnailer finish its messages, however long that takes on a busy machine."""
    with system.restarted("thumbnailer", STOP_GRACE_SECONDS=str(GRACE_SECONDS)):
        yield


@pytest.mark.parametrize(
    "lost", ["its connections are closed", pytest.param("its heartbeats are missed", marks=pytest.mark.long)]
)
def test_a_resumed_thumbnailer_changes_nothing_and_consumes_again(system, lost):
    """Freeze a thumbnailer while another processes its images, of which one is replaced."""
    patient = {"DECODE_TIMEOUT_SECONDS": "30"}
    with system.restarted("thumbnailer", **patient):
        large = photo(6000, 6000, kind="PNG")  # takes long to decode
        ids = [system.post_form(large + bytes([n]), name="large.png")["id"] for n in range(2)]
        same, replaced = ids
        wait_until(lambda: all(status(system, id_) == "PROCESSING" for id_ in ids), what="both to be PROCESSING")
        with system.frozen("thumbnailer"):
            wait_tracker(system)
            assert [status(system, id_) for id_ in ids] == ["PROCESSING"] * 2, "too late: it was done already"
            if lost == "its connections are closed":
                close_connections(system, "thumbnailer")
            system.put(system.image(replaced)["key"], photo(orientation=3))
            with another(system, "thumbnailer", **patient):
                system.wait_generation(replaced, 2, timeout=120)
                done = system.wait_status(same, timeout=120)
                wait_until(
                    lambda: system.metric(PORT, 'thumbmill_events_processed_total{outcome="superseded"}') == 1,
                    what="the replacement's event to reach the other thumbnailer",
                )
        wait_until(
            lambda: system.metric("THUMBNAILER_HEALTH_PORT", "thumbmill_broker_reconnects_total"),
            what="the resumed thumbnailer to notice its closed connection",
        )
        system.wait_status(system.post_form(photo())["id"])
    wait_idle(system)
    assert red_quarter(system.thumbnail(replaced)) == "right lower"
    assert system.image(same) == done
    for id_ in ids:
        timeline = system.timeline(id_)
        assert timeline.count("image.done") == 1, timeline
        assert "image.failed" not in timeline
        assert len(system.keys(PROCESSED, f"{id_}/")) == len(PRESETS)
    assert system.message_count("image_queue.dead") == 0


def status(system, image_id):
    return (system.image(image_id) or {}).get("status")


def close_connections(system, user):
    """Have the broker close a user's connections, as after missed heartbeats."""
    api = f"http://127.0.0.1:{system.ports['RABBITMQ_MANAGEMENT_PORT']}/api/connections"
    with httpx.Client(auth=("admin", system.secrets["RABBITMQ_ADMIN_PASSWORD"])) as client:

        def own_connections():
            return [one["name"] for one in client.get(api).json() if one.get("user") == user]

        for name in wait_until(
            lambda: len(own_connections()) >= 2 and own_connections(), what=f"the connections of {user}"
        ):
            client.delete(f"{api}/{quote(name, safe='')}").raise_for_status()
