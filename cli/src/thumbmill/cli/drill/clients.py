"""The clients: they upload through every door, overwrite and delete, and write down what they were answered.

An answer is believed (2xx), a refusal too (4xx: nothing was stored). Everything else, no answer among it, leaves
the key in doubt, and no client touches it again: a request that seemed lost could still arrive.
"""

import hashlib
import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from thumbmill.cli.drill import photos
from thumbmill.cli.drill.history import Content, Ledger, Outcome, Slot, Step
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.errors import InvalidKeyError
from thumbmill.core.object_store.store import Storage

BAD_SHARE = 1 / 21  # one bad among twenty good
_IMPATIENT = 0.4  # of those who put an object overwrite or delete it before it can be done
_IN_WORK_SECONDS = 0.3
_SECONDS = 20  # the gateway's own deadline is 10


@dataclass(frozen=True)
class Access:
    """Where the running system is, and by which doors it can be reached; without a store, not by S3."""

    gateway: str
    store: Storage | None = None
    api_key: str = ""

    def http(self) -> httpx.Client:
        """Open a client of the API."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return httpx.Client(base_url=self.gateway, headers=headers, timeout=_SECONDS)


@dataclass
class Clients:
    """Threads that use the system until told to stop."""

    access: Access
    ledger: Ledger
    seed: int
    folder: str  # of the keys that are chosen here
    faults: tuple[str, ...] = ("cut",)  # what bad photos may have
    pause_seconds: float = 0.25
    stop: threading.Event = field(default_factory=threading.Event)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def run(self, count: int) -> list[threading.Thread]:
        """Start clients; set ``stop`` to end them."""
        threads = [threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def _live(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/client {number}")  # noqa: S311 - its chance is no secret
        own: list[Slot] = []
        with self.access.http() as http:
            while not self.stop.wait(chance.uniform(0, 2 * self.pause_seconds)):
                self._act(chance, own, http)

    def _act(self, chance: random.Random, own: list[Slot], http: httpx.Client) -> None:
        store = self.access.store
        settled = [slot for slot in own if not slot.in_doubt]
        match chance.choices(("post", "ticket", "s3", "overwrite", "delete"), (30, 20, 30, 10, 10))[0]:
            case "post":
                slot, (content, data) = self.ledger.add(Slot("post")), self._photo(chance)
                slot.steps.append(Step(content, post_photo(http, slot, data)))
            case "ticket":
                slot, (content, data) = self.ledger.add(Slot("ticket")), self._photo(chance)
                slot.steps.append(Step(content, _send_form(http, slot, data)))
            case "s3" if store:
                slot = self.ledger.add(Slot("s3", key=f"{self.folder}/{next(self._numbers)}"))
                self._put(chance, store, slot)
                own.append(slot)
                if chance.random() < _IMPATIENT and not slot.in_doubt:
                    self.stop.wait(chance.uniform(0, _IN_WORK_SECONDS))
                    chance.choice((self._put, self._delete))(chance, store, slot)
            case "overwrite" if store and settled:
                self._put(chance, store, chance.choice(settled))
            case "delete" if store and settled:
                self._delete(chance, store, chance.choice(settled))

    def _put(self, chance: random.Random, store: Storage, slot: Slot) -> None:
        content, data = self._photo(chance)
        outcome = _ask(lambda: store.put(ORIGINALS_BUCKET, slot.key or "", data, "image/jpeg"))
        slot.steps.append(Step(content, outcome))

    def _delete(self, _chance: random.Random, store: Storage, slot: Slot) -> None:
        slot.steps.append(Step(None, _ask(lambda: store.delete(ORIGINALS_BUCKET, slot.key or ""))))

    def _photo(self, chance: random.Random) -> tuple[Content, bytes]:
        number = next(self._numbers)
        data, bad = photos.paint(number), chance.random() < BAD_SHARE
        if bad:
            fault = chance.choice(self.faults)
            data = photos.spoil(data) if fault == "cut" else photos.poison(data, fault)
        return Content(number, hashlib.sha256(data).hexdigest(), bad=bad), data


def post_photo(http: httpx.Client, slot: Slot, data: bytes) -> Outcome:
    """Upload by POST, note the image's id, and return what the answer says."""
    try:
        answer = http.post("/api/v1/images", files={"file": ("drill.jpg", data, "image/jpeg")})
    except httpx.HTTPError:
        return "maybe"
    try:
        slot.image_id = answer.json().get("id")
    except ValueError:
        slot.image_id = None
    return _believe(answer.status_code)


def _send_form(http: httpx.Client, slot: Slot, data: bytes) -> Outcome:
    try:
        answer = http.post("/api/v1/uploads", json={"content_type": "image/jpeg", "file_name": "drill.jpg"})
    except httpx.HTTPError:
        return "refused"  # no form, so nothing can be stored with it
    if answer.status_code != 201:
        return "refused"
    ticket = answer.json()
    slot.image_id = ticket["id"]
    try:
        form = ticket["form"]
        stored = httpx.post(form["url"], data=form["fields"], files={"file": ("x", data)}, timeout=_SECONDS)
    except httpx.HTTPError:
        return "maybe"
    return _believe(stored.status_code)


def _ask(request: Callable[[], object]) -> Outcome:
    try:
        request()
    except (DependencyRejected, InvalidKeyError):
        return "refused"
    except DependencyUnavailable:
        return "maybe"
    return "acknowledged"


def _believe(status: int) -> Outcome:
    if status < 300:
        return "acknowledged"
    return "refused" if status < 500 else "maybe"
