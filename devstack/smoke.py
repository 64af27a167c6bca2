"""A smoke test: upload a sample image to a running system and print its timeline."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from devstack.errors import LaunchError
from devstack.polling import pause
from devstack.running import Running
from devstack.sample_image import make_sample_image

_STATES = {
    "storage.ObjectCreated": "PENDING",
    "image.processing": "PROCESSING",
    "image.retrying": "PROCESSING",
    "image.done": "DONE",
    "image.failed": "FAILED",
}
_DONE_SECONDS = 60.0
_POLL_SECONDS = 0.02
_TIMEOUT_SECONDS = 15.0


def run_smoke(running: Running, log: Callable[[str], None]) -> None:
    """Upload the sample image and print the steps until it is DONE. Raise LaunchError if it fails."""
    gateway = _Gateway(running.ports["GATEWAY_PORT"], running.api_key)
    image_bytes = make_sample_image()
    log(f"uploading a sample image of {len(image_bytes)} bytes by POST /api/v1/images")
    started = time.time()
    posted = gateway.request("POST", "/api/v1/images", image_bytes, {"Content-Type": "image/png"})
    steps = [(time.time(), f"response to the upload: {posted['id']} is {posted['status']}")]
    image = _wait_done(gateway, posted["id"])
    for event in gateway.request("GET", f"/api/v1/images/{posted['id']}/events")["items"]:
        state = _STATES.get(event["type"].partition(":")[0], "")
        steps.append(
            (datetime.fromisoformat(event["occurred"]).timestamp(), f"{event['type']:<26} {state}".strip())
        )
    for at, description in sorted(steps):
        log(f"  {(at - started) * 1000:6.0f} ms  {description}")
    for variant in image["variants"]:
        log(f"  {variant['type']}: {variant['url']}")


class _Gateway:
    """A client of the API on loopback."""

    def __init__(self, port: int, api_key: str | None) -> None:
        self._port = port
        self._headers = {"X-API-Key": api_key} if api_key else {}

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the JSON of a successful response. Raise LaunchError otherwise."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {**self._headers, **(headers or {})})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise LaunchError(
                f"the gateway on 127.0.0.1:{self._port} does not respond ({error}): is `make up` running?"
            ) from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise LaunchError(f"{method} {path} returned {response.status}: {text}")
        found: dict[str, Any] = json.loads(text)
        return found


def _wait_done(gateway: _Gateway, image_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + _DONE_SECONDS
    while (image := gateway.request("GET", f"/api/v1/images/{image_id}"))["status"] != "DONE":
        if image["status"] == "FAILED":
            raise LaunchError(f"the sample image is FAILED: {image['error']}")
        if time.monotonic() > deadline:
            raise LaunchError(f"the sample image is still {image['status']} after {_DONE_SECONDS:.0f} s")
        pause(_POLL_SECONDS)
    return image
