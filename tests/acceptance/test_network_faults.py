"""Networks between services and servers that drop packets or break off in the middle of an image."""

import io
import random
from contextlib import contextmanager
from threading import Event

import pytest
from PIL import Image

from chaos.proxy import Proxy
from tests.support.images import opened
from tests.support.outage_uploads import all_done_after, put_many, wait_unavailable
from tests.support.system import PRESETS, PROCESSED, problem
from tests.support.waiting import wait_until

SERVERS = {"minio": "MINIO_PORT", "rabbitmq": "RABBITMQ_PORT", "postgres": "POSTGRES_PORT"}
LINKS = [
    (service, server)
    for service in ("gateway", "thumbnailer", "status-tracker")
    for server in SERVERS
    if (service, server) != ("thumbnailer", "postgres")
]


READINESS = ("GATEWAY_PORT", "THUMBNAILER_HEALTH_PORT", "STATUS_TRACKER_HEALTH_PORT")


@contextmanager
def proxied(system, links):
    """Route connections through proxies for a while; yield these by service and server."""
    proxies = {link: Proxy(system.ports[SERVERS[link[1]]]).start() for link in links}
    services = sorted({service for service, _ in links})
    try:
        for service in services:
            ports = {server: proxy.port for (of, server), proxy in proxies.items() if of == service}
            system.stack.restart(service, wait=False, **addresses(system, service, ports))
        for service in services:
            system.stack.wait_ready(service)
        yield proxies
        assert all(system.stack.is_running(service) for service in services), "no service exits"
    finally:
        for proxy in proxies.values():
            proxy.mode = "pass"
        for service in services:
            system.stack.restart(service, wait=False)
        for service in services:
            system.stack.wait_ready(service)
        for proxy in proxies.values():
            proxy.close()


def addresses(system, service, ports):
    """Return a service's settings with other ports for its servers."""
    settings = {}
    for server, port in ports.items():
        if server == "postgres":
            usual = system.stack.table[service].environment["DATABASE_URL"]
            settings["DATABASE_URL"] = usual.replace(f":{system.ports['POSTGRES_PORT']}/", f":{port}/")
        else:
            settings |= (
                {"MINIO_URL": f"http://127.0.0.1:{port}"} if server == "minio" else {"RABBITMQ_PORT": str(port)}
            )
    return settings


def test_connections_that_drop_everything_for_a_while(system):
    """All connections of all services at once, one direction at a time."""
    with proxied(system, LINKS) as proxies:
        for mode in ("stall-requests", "stall-responses"):
            with all_done_after(system) as keys:
                keys.extend(put_many(system, f"before-{mode}"))
                for proxy in proxies.values():
                    proxy.mode = mode
                keys.extend(put_many(system, mode))
                assert problem(system.http.get("/api/v1/images"), 503) == "database_unavailable"
                wait_unavailable(system, "minio", *READINESS)
                for proxy in proxies.values():
                    proxy.mode = "pass"


@pytest.mark.long
@pytest.mark.parametrize("mode", ["stall-requests", "stall-responses"])
@pytest.mark.parametrize("link", LINKS, ids="-".join)
def test_a_connection_that_drops_everything_beyond_all_timeouts(system, link, mode):
    """40 seconds: more than two heartbeats, and than any request or statement may take."""
    name = f"{'-'.join(link)}-{mode}"
    with proxied(system, [link]) as proxies, all_done_after(system) as keys:
        keys.extend(put_many(system, f"before-{name}"))
        proxies[link].mode = mode
        keys.extend(put_many(system, name))
        Event().wait(40)
        proxies[link].mode = "pass"


def test_a_variant_whose_upload_is_cut_off_does_not_exist(system):
    """Nothing is stored of it, and the image is DONE only when all of them are there."""
    link = ("thumbnailer", "minio")
    requeued = 'thumbmill_deliveries_total{action="requeue",queue="image_queue"}'
    with proxied(system, [link]) as proxies:
        proxies[link].mode = "cut"  # a few KB get through, so the original does
        image_id = system.post_form(shifted_noise(), name="noise.png")["id"]
        wait_until(lambda: system.metric("THUMBNAILER_HEALTH_PORT", requeued) >= 2, what="two failed attempts")
        stored = system.keys(PROCESSED, f"{image_id}/")
        assert not [key for key in stored if "/large." in key]
        assert all(opened(system.s3.get_object(Bucket=PROCESSED, Key=key)["Body"].read()) for key in stored)
        assert system.image(image_id)["status"] in {"PENDING", "PROCESSING"}
        proxies[link].mode = "pass"
        image = system.wait_status(image_id)
    assert image["attempts"] == 1
    assert len(system.keys(PROCESSED, f"{image_id}/")) == len(PRESETS)
    assert opened(system.thumbnail(image_id, "large")).size == (1600, 600)


def shifted_noise():
    """Return a PNG of 3 KB whose largest variant has tens: each row is the one above, a byte to the left.

    Made smaller, its rows no longer repeat, so that no way to write it is as short as the original.
    """
    row = random.Random(1).randbytes(213)
    rows = b"".join(row[n % 213 :] + row[: n % 213] for n in range(3 * len(row)))
    file = io.BytesIO()
    Image.frombytes("1", (8 * len(row), 3 * len(row)), rows).save(file, "PNG", optimize=True)
    assert len(file.getvalue()) < 3500, len(file.getvalue())
    return file.getvalue()
