"""Servers and services go away and come back: what was uploaded meanwhile is DONE, and nobody touched anything."""

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.outages import all_done_after
from support.pictures import photo
from support.system import problem
from support.waiting import wait_until

COUNT = 20


def put_many(system, name, data=None):
    """Upload by S3; give the keys."""
    keys = [f"outage/{name}/{number:02}.jpg" for number in range(COUNT)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: system.put(keys[n], data or photo(seed=n + 1)), range(COUNT)))
    return keys


def readiness(system, port):
    """What a service's /readyz says is away; its /livez is untroubled."""
    base = f"http://127.0.0.1:{system.ports[port]}"
    assert httpx.get(f"{base}/livez").status_code == 200
    answer = httpx.get(f"{base}/readyz", timeout=20)
    told = answer.json()
    assert (answer.status_code == 503) == bool(told["away"]), told
    return told["away"] | told.get("degraded", {})


def wait_away(system, dependency, *ports):
    """Wait until each of these services names the dependency that is away."""
    for port in ports:
        wait_until(lambda port=port: dependency in readiness(system, port), 20, f"{port} to name {dependency}")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_rabbitmq_away(system, end):
    with all_done_after(system) as keys:
        used = system.ticket()
        system.wait_status(used["id"], "AWAITING_UPLOAD")
        with system.held("thumbnailer"):
            keys.extend(put_many(system, f"before-rabbitmq-{end}"))
            getattr(system.stack, end)("rabbitmq")
        keys.extend(put_many(system, f"rabbitmq-{end}"))
        assert system.image_of(keys[-1])["status"] == "PENDING"
        posted = system.post_form(photo())
        keys.append(posted["key"])
        assert system.send_form(used, photo()).status_code == 204
        keys.append(used["key"])
        for unheard in (posted, used):
            assert system.image(unheard["id"])["status"] == "PENDING"
            assert problem(system.http.delete(f"/api/v1/images/{unheard['id']}"), 503) == "not_caught_up"
        ticket = system.http.post("/api/v1/uploads", json={"content_type": "image/jpeg"})
        assert problem(ticket, 503) == "broker_away"
        wait_away(system, "rabbitmq", "THUMBNAILER_HEALTH_PORT", "STATUS_TRACKER_HEALTH_PORT", "GATEWAY_PORT")
        system.stack.start("rabbitmq")
    assert system.ticket()["status"] == "AWAITING_UPLOAD"


def test_the_thumbnailer_away(system):
    with all_done_after(system) as keys, system.stopped("thumbnailer"):
        keys.extend(put_many(system, "thumbnailer"))
        for key in keys:
            system.wait_key(key, "PENDING")


def test_the_tracker_away(system):
    with all_done_after(system) as keys, system.stopped("status-tracker"):
        keys.extend(put_many(system, "tracker"))
        assert {system.image_of(key)["status"] for key in keys} == {"PENDING"}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_postgres_away(system, end):
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
                assert problem(answer, 503) == "database_away"
                assert int(answer.headers["retry-after"]) >= 1
        keys.append(system.post_form(photo())["key"])
        wait_away(system, "postgres", "GATEWAY_PORT", "STATUS_TRACKER_HEALTH_PORT")
        assert readiness(system, "THUMBNAILER_HEALTH_PORT") == {}
        system.stack.start("postgres")
    system.wait_status(known)


def test_minio_killed_under_the_thumbnailers_feet(system):
    large = photo(3000, 2000, kind="PNG")
    with all_done_after(system) as keys:
        done = system.wait_status(system.post_form(photo())["id"])
        keys.extend(put_many(system, "minio", large))
        system.wait_key(keys[0], "DONE")
        with system.held("thumbnailer"):
            system.stack.kill("minio")
        assert system.image(done["id"])["status"] == "DONE"
        assert problem(system.http.get(done["variants"][1]["url"]), 503) == "storage_away"
        refused = system.http.post("/api/v1/images", files={"file": ("photo.jpg", photo())})
        assert problem(refused, 503) == "storage_away"
        assert int(refused.headers["retry-after"]) >= 1
        wait_away(system, "minio", "GATEWAY_PORT", "THUMBNAILER_HEALTH_PORT", "STATUS_TRACKER_HEALTH_PORT")
        finished = [key for key in keys if system.image_of(key)["status"] == "DONE"]
        assert len(finished) < COUNT, "too late: everything was done before the store went"
        system.stack.start("minio")


def test_a_store_that_does_not_answer_holds_nobody_up(system):
    with system.restarted("gateway", UPLOAD_DEADLINE_SECONDS="0.5"):
        with system.held("minio"):
            answer = system.http.post("/api/v1/images", files={"file": ("photo.jpg", photo(seed=8))})
            assert problem(answer, 503) == "storage_timeout"
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["location"].endswith(f"/api/v1/images/{answer.json()['id']}")
        system.wait_status(answer.json()["id"])  # it was stored in the end


def test_everything_killed_at_once_comes_back_in_any_order(system):
    with all_done_after(system) as keys:
        keys.extend(put_many(system, "all"))
        for name in ("status-tracker", "thumbnailer", "gateway"):
            system.stack.signal(name, signal.SIGKILL)
            system.stack.wait_exit(name, 10)
        keys.extend(put_many(system, "nobody"))
        for name in ("thumbnailer", "gateway", "status-tracker"):
            system.stack.start(name, wait=False)
        for name in ("thumbnailer", "gateway", "status-tracker"):
            system.stack.wait_ready(name)
