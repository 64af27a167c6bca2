"""A broker that accepts no messages: clients get an error in time, and stored images are DONE afterwards.

MinIO answers an upload when its event is out, so such a broker holds its answers back.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from chaos.proxy import Proxy
from tests.support.degraded_servers import alarm
from tests.support.images import photo
from tests.support.outage_uploads import all_done_after
from tests.support.system import problem
from tests.support.waiting import wait_until

DEADLINE = {"UPLOAD_DEADLINE_SECONDS": "1"}
TICKETS, IMAGES = "/api/v1/uploads", "/api/v1/images"


def post_until_refused(system, keys):
    """Upload until the store delays its response, and record every key; return the last image."""

    def refused():
        answer = system.http.post(IMAGES, files={"file": ("photo.jpg", photo())})
        keys.append(f"uploads/{answer.json()['id']}/original")
        return answer if answer.status_code != 202 else None

    answer = wait_until(refused, 30, "a delayed upload")
    assert problem(answer, 503) == "storage_timeout"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["location"].endswith(f"{IMAGES}/{answer.json()['id']}")
    return answer.json()["id"]


def begin_form(system, ticket, keys, pool):
    """Send a ticket's form, which is stored at once; return the future response."""
    sent = pool.submit(system.send_form, ticket, photo())
    system.wait_status(ticket["id"], "PENDING")
    keys.append(ticket["key"])
    return sent


# A client cannot tell one alarm from the other; the loss drill raises either.
@pytest.mark.parametrize("kind", ["disk", pytest.param("memory", marks=pytest.mark.long)])
def test_an_alarm_of_the_broker(system, kind):
    with system.restarted("gateway", **DEADLINE), all_done_after(system) as keys, ThreadPoolExecutor(2) as pool:
        ticket = system.ticket()
        system.wait_status(ticket["id"], "AWAITING_UPLOAD")
        with alarm(system, kind):
            another = pool.submit(system.http.post, TICKETS, json={"content_type": "image/jpeg"})
            held_back = post_until_refused(system, keys)
            assert system.image(held_back)["status"] == "PENDING"
            sent = begin_form(system, ticket, keys, pool)
            assert problem(another.result(), 503) == "broker_unavailable"
        assert sent.result().status_code == 204


@pytest.fixture
def link(system):
    """Yield a proxy between MinIO and the broker."""
    proxy = Proxy(system.ports["RABBITMQ_PORT"]).start()
    urls = {name: url for name, url in system.stack.table["minio"].environment.items() if "_AMQP_URL_" in name}
    led = {name: url.replace(f":{proxy.target}", f":{proxy.port}") for name, url in urls.items()}
    with system.restarted("minio", **led):
        yield proxy
        proxy.mode = "pass"
    proxy.close()


def test_dropped_packets_between_the_store_and_the_broker(system, link):
    with system.restarted("gateway", **DEADLINE):
        for mode in ("stall-requests", "stall-responses"):
            with all_done_after(system) as keys, ThreadPoolExecutor(1) as pool:
                ticket = system.ticket()
                keys.append(system.post_form(photo())["key"])
                system.wait_key(keys[0])  # the link works
                link.mode = mode
                held_back = post_until_refused(system, keys)
                assert system.image(held_back)["status"] == "PENDING"
                sent = begin_form(system, ticket, keys, pool)
                link.mode = "pass"
                assert sent.result().status_code == 204
