"""The three doors of a system in containers, and the check that what goes in comes out as a thumbnail."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from tests.support.images import opened, photo
from tests.support.system import System

_DONE_SECONDS = 60  # right after a restart, a first connection may have to be tried again


@contextmanager
def open_doors(ports: Mapping[str, int], user: str, password: str, api_key: str = "") -> Iterator[System]:
    """Give a client of the published ports; of secrets it knows MinIO's login and the API's key."""
    secrets = {"MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": password}
    system = System(SimpleNamespace(site=SimpleNamespace(ports=ports, secrets=secrets)))
    if api_key:
        system.http.headers["X-API-Key"] = api_key
    try:
        yield system
    finally:
        system.close()


def send_form(doors: System, seed: int) -> dict[str, Any]:
    """Upload through the gateway; return the image when it is DONE."""
    return doors.wait_status(doors.post_form(photo(seed=seed))["id"], timeout=_DONE_SECONDS)


def send_ticket(doors: System, seed: int) -> dict[str, Any]:
    """Upload straight to MinIO with a ticket's form; return the image when it is DONE."""
    ticket = doors.ticket()
    sent = doors.send_form(ticket, photo(seed=seed))
    assert sent.is_success, sent.text
    return doors.wait_status(ticket["id"], timeout=_DONE_SECONDS)


def put_object(doors: System, seed: int, key: str = "holiday/ä b+c 100%.jpg") -> dict[str, Any]:
    """Upload with an S3 client under a key of its own; return the image when it is DONE."""
    doors.put(key, photo(seed=seed))
    return doors.wait_key(key, timeout=_DONE_SECONDS)


def check_thumbnail(doors: System, image: dict[str, Any]) -> None:
    """Fetch the thumbnail by the address that the API gives for it, and decode it."""
    [url] = [variant["url"] for variant in image["variants"] if variant["type"] == "thumbnail"]
    answer = doors.http.get(url)
    assert answer.status_code == 200, answer.text
    assert max(opened(answer.content).size) == 256
