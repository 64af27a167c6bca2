"""Servers and services stop and return: uploads made meanwhile are DONE without an intervention."""

import io
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
import urllib3
from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from devstack.probes import answers_http
from tests.support.degraded_servers import rabbitmqctl
from tests.support.images import photo
from tests.support.outage_uploads import COUNT, all_done_after, put_many, readiness, wait_unavailable
from tests.support.system import ORIGINALS, problem
from tests.support.waiting import wait_until

SERVICES = ("status-tracker", "thumbnailer", "gateway")
SERVERS = ("minio", "rabbitmq", "postgres")
WAITS_FOR = {"THUMBNAILER_HEALTH_PORT": "minio", "STATUS_TRACKER_HEALTH_PORT": "postgres", "GATEWAY_PORT": "minio"}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_rabbitmq_unavailable(system, end):
    with all_done_after(system) as keys:
        used = system.ticket()
        system.wait_status(used["id"], "AWAITING_UPLOAD")
        with system.frozen("thumbnailer"):
            keys.extend(put_many(system, f"before-rabbitmq-{end}"))
            getattr(system.stack, end)("rabbitmq")
        keys.extend(put_many(system, f"rabbitmq-{end}"))
        assert system.image_of(keys[-1])["status"] == "PENDING"
        posted = system.post_form(photo())
        keys.append(posted["key"])
        assert system.send_form(used, photo()).status_code == 204
        keys.append(used["key"])
        for image in (posted, used):
            assert system.image(image["id"])["status"] == "PENDING"
        assert problem(system.http.delete(f"/api/v1/images/{used['id']}"), 503) == "not_caught_up"
        ticket = system.http.post("/api/v1/uploads", json={"content_type": "image/jpeg"})
        assert problem(ticket, 503) == "broker_unavailable"
        wait_unavailable(
            system, "rabbitmq", "THUMBNAILER_HEALTH_PORT", "STATUS_TRACKER_HEALTH_PORT", "GATEWAY_PORT"
        )
        system.stack.start("rabbitmq")
    assert system.ticket()["status"] == "AWAITING_UPLOAD"


def test_rabbitmq_app_stopped_and_started(system, stack):
    with all_done_after(system) as keys:
        keys.extend(put_many(system, "before-stop-app"))
        rabbitmqctl(stack, "stop_app")
        keys.extend(put_many(system, "stop-app"))
        rabbitmqctl(stack, "start_app")
        keys.extend(put_many(system, "after-stop-app"))


def test_the_thumbnailer_unavailable(system):
    with all_done_after(system) as keys, system.stopped("thumbnailer"):
        keys.extend(put_many(system, "thumbnailer"))
        for key in keys:
            system.wait_key(key, "PENDING")


def test_the_tracker_unavailable(system):
    with all_done_after(system) as keys, system.stopped("status-tracker"):
        keys.extend(put_many(system, "tracker"))
        assert {system.image_of(key)["status"] for key in keys} == {"PENDING"}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_postgres_unavailable(system, end):
    with all_done_after(system) as keys:
        known = system.post_form(photo())["id"]
        getattr(system.stack, end)("postgres")
        keys.extend(put_many(system, f"postgres-{end}"))
        with ThreadPoolExecutor(4) as pool:  # each may take a while
            paths = (
                "/api/v1/images",
                *(f"/api/v1/images/{known}{rest}" for rest in ("", "/events", "/variants/original")),
            )
            for answer in pool.map(system.http.get, paths):
                assert problem(answer, 503) == "database_unavailable"
                assert int(answer.headers["retry-after"]) >= 1
        keys.append(system.post_form(photo())["key"])
        wait_unavailable(system, "postgres", "GATEWAY_PORT", "STATUS_TRACKER_HEALTH_PORT")
        assert readiness(system, "THUMBNAILER_HEALTH_PORT") == {}
        system.stack.start("postgres")
    system.wait_status(known)


def test_minio_killed_while_the_thumbnailer_works(system):
    large = photo(3000, 2000, kind="PNG")
    with all_done_after(system) as keys:
        done = system.wait_status(system.post_form(photo())["id"])
        keys.extend(put_many(system, "minio", large))
        system.wait_key(keys[0], "DONE", timeout=120)
        with system.frozen("thumbnailer"):
            system.stack.kill("minio")
        assert system.image(done["id"])["status"] == "DONE"
        assert problem(system.http.get(done["variants"][1]["url"]), 503) == "storage_unavailable"
        refused = system.http.post("/api/v1/images", files={"file": ("photo.jpg", photo())})
        assert problem(refused, 503) == "storage_unavailable"
        assert int(refused.headers["retry-after"]) >= 1
        wait_unavailable(system, "minio", "GATEWAY_PORT", "THUMBNAILER_HEALTH_PORT", "STATUS_TRACKER_HEALTH_PORT")
        finished = [key for key in keys if system.image_of(key)["status"] == "DONE"]
        assert len(finished) < COUNT, "too late: all images were done before the store stopped"
        system.stack.start("minio")


def test_uploads_accepted_while_minio_starts_have_their_events(system):
    with all_done_after(system) as keys:
        for start in range(2):
            system.stack.kill("minio")
            system.stack.start("minio", wait=False)
            with ThreadPoolExecutor(2) as pool:
                uploads = pool.map(lambda name: upload_until_accepted(system, name), (f"{start}-a", f"{start}-b"))
                keys.extend(key for accepted in uploads for key in accepted)
            system.stack.wait_ready("minio")


def upload_until_accepted(system, name):
    """Upload without a pause until five uploads were accepted; return their keys."""
    endpoint = f"127.0.0.1:{system.ports['MINIO_PORT']}"
    data = photo()
    secret = system.secrets["S3_UPLOADER_SECRET_KEY"]
    with urllib3.PoolManager(retries=False, timeout=30) as pool:
        client = Minio(endpoint, "s3-uploader", secret, secure=False, region="us-east-1", http_client=pool)
        keys = (f"starting/{name}/{number}.jpg" for number in range(100_000))
        return list(islice((key for key in keys if is_accepted(client, key, data)), 5))


def is_accepted(client, key, data):
    """Upload an object; return whether the store accepted it."""
    try:
        client.put_object(ORIGINALS, key, io.BytesIO(data), len(data))
    except (HTTPError, MinioException):
        return False
    return True


def test_an_unresponsive_store_does_not_block_other_requests(system):
    with system.restarted("gateway", UPLOAD_DEADLINE_SECONDS="0.5"):
        with system.frozen("minio"):
            answer = system.http.post("/api/v1/images", files={"file": ("photo.jpg", photo(seed=8))})
            assert problem(answer, 503) == "storage_timeout"
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["location"].endswith(f"/api/v1/images/{answer.json()['id']}")
        system.wait_status(answer.json()["id"])  # it was stored in the end


def test_services_killed_at_once_come_back(system, stack):
    with all_done_after(system) as keys:
        for number, order in enumerate((SERVICES, SERVICES[::-1])):  # milliseconds apart: each is ready in its time
            for name in SERVICES:
                stack.kill(name)
            keys.extend(put_many(system, f"order-{number}", count=5))
            for name in order:
                stack.start(name, wait=False)
        for name in SERVICES:
            stack.wait_ready(name)


def test_everything_killed_at_once_comes_back_with_the_services_first(system, stack):
    with all_done_after(system) as keys:
        stack.signal("thumbnailer", signal.SIGSTOP)
        keys.extend(put_many(system, "everything"))
        for name in (*SERVICES, *SERVERS):
            stack.kill(name)
        for name in SERVICES:
            stack.start(name, wait=False)
        for port, needed in WAITS_FOR.items():  # and reports it
            wait_until(lambda port=port: answers_http(system.ports[port], "/livez"), 60, port)
            wait_unavailable(system, needed, port)
        for name in SERVERS:
            stack.start(name, wait=False)
        for name in (*SERVERS, *SERVICES):
            stack.wait_ready(name)
