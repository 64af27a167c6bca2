"""The three upload routes of a system in containers, and the check that an upload becomes a thumbnail."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from tests.support.images import opened, photo
from tests.support.system import System

_DONE_SECONDS = 60  # right after a restart, the first connection may fail


@contextmanager
def open_client(ports: Mapping[str, int], user: str, password: str, api_key: str = "") -> Iterator[System]:
    """Yield a client of the published ports; its only secrets are MinIO's login and the API key."""
    secrets = {"MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": password}
    system = System(SimpleNamespace(installation=SimpleNamespace(ports=ports, secrets=secrets)))
    if api_key:
        system.http.headers["X-API-Key"] = api_key
    try:
        yield system
    finally:
        system.close()


def send_form(client: System, seed: int) -> dict[str, Any]:
    """Upload through the gateway; return the image when it is DONE."""
    return client.wait_status(client.post_form(photo(seed=seed))["id"], timeout=_DONE_SECONDS)


def send_ticket(client: System, seed: int) -> dict[str, Any]:
    """Upload directly to MinIO with a ticket's form; return the image when it is DONE."""
    ticket = client.ticket()
    sent = client.send_form(ticket, photo(seed=seed))
    assert sent.is_success, sent.text
    return client.wait_status(ticket["id"], timeout=_DONE_SECONDS)


def put_object(client: System, seed: int, key: str = "holiday/ä b+c 100%.jpg") -> dict[str, Any]:
    """Upload with an S3 client under a key of its own; return the image when it is DONE."""
    client.put(key, photo(seed=seed))
    return client.wait_key(key, timeout=_DONE_SECONDS)


def check_thumbnail(client: System, image: dict[str, Any]) -> None:
    """Fetch the thumbnail by its URL in the API, and decode it."""
    [url] = [variant["url"] for variant in image["variants"] if variant["type"] == "thumbnail"]
    answer = client.http.get(url)
    assert answer.status_code == 200, answer.text
    assert max(opened(answer.content).size) == 256
