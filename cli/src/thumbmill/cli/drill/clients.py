"""The drill's clients: they upload by every upload route, overwrite and delete, and record each response.

2xx is acknowledged and 4xx is refused, so nothing was stored. Anything else, no response included, leaves the
outcome unknown. Uploads through the gateway are repeated then, with the same idempotency key, and some of them also
after they were acknowledged. No S3 client uses its key again, since a request that seemed lost can still arrive.
"""

import hashlib
import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from thumbmill.cli.drill import fingerprint_image
from thumbmill.cli.drill.history import Content, History, Operation, Outcome, TrackedKey
from thumbmill.cli.polling import pause
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.errors import InvalidKeyError
from thumbmill.core.object_store.store import Storage

BAD_SHARE = 1 / 21  # one bad image for twenty valid ones
_CHANGE_SHARE = 0.4  # of the objects put by S3: overwritten or deleted while they may be in processing
_PROCESSING_SECONDS = 0.3
_REPEATED_SHARE = 0.1  # of the acknowledged uploads by POST: sent again, as if the response had been lost
_RETRY_SECONDS = (1, 2, 4, 8)  # before each repetition of an upload of unknown outcome
_TIMEOUT_SECONDS = 20  # the gateway's own deadline is 10


@dataclass(frozen=True)
class Access:
    """The addresses and credentials of the system; without a store, the clients do not use S3."""

    gateway: str
    store: Storage | None = None
    api_key: str = ""

    def http(self) -> httpx.Client:
        """Open a client of the API."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return httpx.Client(base_url=self.gateway, headers=headers, timeout=_TIMEOUT_SECONDS)


@dataclass
class Clients:
    """Threads that use the system until ``stop`` is set."""

    access: Access
    history: History
    seed: int
    folder: str  # prefix of the keys chosen here
    faults: tuple[str, ...] = ("truncate",)  # kinds of bad images
    pause_seconds: float = 0.25
    stop: threading.Event = field(default_factory=threading.Event)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def start(self, count: int) -> list[threading.Thread]:
        """Start this many clients and return their threads."""
        threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def _run(self, number: int) -> None:
        rng = random.Random(f"{self.seed}/client {number}")  # noqa: S311 - not for secrets
        own: list[TrackedKey] = []
        with self.access.http() as http:
            while not self.stop.wait(rng.uniform(0, 2 * self.pause_seconds)):
                self._act(rng, own, http)

    def _act(self, rng: random.Random, own: list[TrackedKey], http: httpx.Client) -> None:
        store = self.access.store
        settled = [tracked for tracked in own if not tracked.in_doubt]
        match rng.choices(("post", "ticket", "s3", "overwrite", "delete"), (30, 20, 30, 10, 10))[0]:
            case "post":
                tracked, (content, data) = self.history.add(TrackedKey("post")), self._image(rng)
                tracked.operations.append(Operation(content, post_image(http, tracked, data, self.stop.wait)))
                if rng.random() < _REPEATED_SHARE and tracked.acknowledged:
                    post_image(http, tracked, data, self.stop.wait)
            case "ticket":
                tracked, (content, data) = self.history.add(TrackedKey("ticket")), self._image(rng)
                outcome = _repeat(lambda: _send_form(http, tracked, data), self.stop.wait)
                tracked.operations.append(Operation(content, outcome))
            case "s3" if store:
                tracked = self.history.add(TrackedKey("s3", key=f"{self.folder}/{next(self._numbers)}"))
                self._put(rng, store, tracked)
                own.append(tracked)
                if rng.random() < _CHANGE_SHARE and not tracked.in_doubt:
                    self.stop.wait(rng.uniform(0, _PROCESSING_SECONDS))
                    rng.choice((self._put, self._delete))(rng, store, tracked)
            case "overwrite" if store and settled:
                self._put(rng, store, rng.choice(settled))
            case "delete" if store and settled:
                self._delete(rng, store, rng.choice(settled))

    def _put(self, rng: random.Random, store: Storage, tracked: TrackedKey) -> None:
        content, data = self._image(rng)
        outcome = _attempt(lambda: store.put(ORIGINALS_BUCKET, tracked.key or "", data, "image/jpeg"))
        tracked.operations.append(Operation(content, outcome))

    def _delete(self, _rng: random.Random, store: Storage, tracked: TrackedKey) -> None:
        outcome = _attempt(lambda: store.delete(ORIGINALS_BUCKET, tracked.key or ""))
        tracked.operations.append(Operation(None, outcome))

    def _image(self, rng: random.Random) -> tuple[Content, bytes]:
        number = next(self._numbers)
        data, bad = fingerprint_image.render(number), rng.random() < BAD_SHARE
        if bad:
            fault = rng.choice(self.faults)
            is_truncated = fault == "truncate"
            data = fingerprint_image.truncate(data) if is_truncated else fingerprint_image.inject_fault(data, fault)
        return Content(number, hashlib.sha256(data).hexdigest(), bad=bad), data


def post_image(
    http: httpx.Client, tracked: TrackedKey, data: bytes, wait: Callable[[float], object] = pause
) -> Outcome:
    """Upload by POST, repeatedly if the outcome is unknown; record the image's id, and return the outcome."""
    return _repeat(lambda: _post(http, tracked, data), wait)


def _repeat(upload: Callable[[], Outcome], wait: Callable[[float], object]) -> Outcome:
    """Repeat an upload with an idempotency key until its outcome is known, or for some seconds."""
    outcome = upload()
    for seconds in _RETRY_SECONDS:
        if outcome != "unknown":
            break
        wait(seconds)
        if upload() == "acknowledged":
            outcome = "acknowledged"  # not refused: an earlier request may still store the image
    return outcome


def _post(http: httpx.Client, tracked: TrackedKey, data: bytes) -> Outcome:
    file, headers = ("drill.jpg", data, "image/jpeg"), {"Idempotency-Key": tracked.idempotency_key}
    try:
        response = http.post("/api/v1/images", files={"file": file}, headers=headers)
    except httpx.HTTPError:
        return "unknown"
    try:
        tracked.image_id = response.json().get("id") or tracked.image_id
    except ValueError:
        pass
    return _outcome_of(response.status_code)


def _send_form(http: httpx.Client, tracked: TrackedKey, data: bytes) -> Outcome:
    wanted, headers = (
        {"content_type": "image/jpeg", "file_name": "drill.jpg"},
        {"Idempotency-Key": tracked.idempotency_key},
    )
    try:
        response = http.post("/api/v1/uploads", json=wanted, headers=headers)
    except httpx.HTTPError:
        return "unknown"
    if response.status_code not in {200, 201}:
        return _outcome_of(response.status_code)
    ticket = response.json()
    tracked.image_id = ticket["id"]
    if response.status_code == 200:
        return "acknowledged"  # an earlier form has stored it
    form = ticket["form"]
    try:
        stored = httpx.post(form["url"], data=form["fields"], files={"file": ("x", data)}, timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError:
        return "unknown"
    return _outcome_of(stored.status_code)


def _attempt(request: Callable[[], object]) -> Outcome:
    try:
        request()
    except (DependencyRejected, InvalidKeyError):
        return "refused"
    except DependencyUnavailable:
        return "unknown"
    return "acknowledged"


def _outcome_of(status: int) -> Outcome:
    if status < 300:
        return "acknowledged"
    return "refused" if status < 500 else "unknown"
