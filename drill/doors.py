"""The clients: they upload through all three doors, overwrite and delete, and write down what they were answered.

An answer is believed (2xx), a refusal too (4xx: nothing was stored). Everything else, no answer among it, leaves
the key in doubt, and no client touches it again: a request that seemed lost could still arrive.
"""

import hashlib
import itertools
import random
import threading
from dataclasses import dataclass, field

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from drill import photos
from drill.ledger import Content, Ledger, Outcome, Slot, Step

ORIGINALS, PROCESSED = "images-original", "images-processed"
_IMPATIENT = 0.4  # of those who put an object overwrite or delete it before it can be done
_IN_WORK_SECONDS = 0.3
_SECONDS = 20  # the gateway's own deadline is 10


@dataclass(frozen=True)
class Access:
    """Where the running system is."""

    gateway: str
    minio: str
    access_key: str
    secret_key: str
    api_key: str = ""

    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return httpx.Client(base_url=self.gateway, headers=headers, timeout=_SECONDS)

    def s3(self):  # noqa: ANN201 - boto3 makes its types when it runs
        return boto3.client(
            "s3",
            endpoint_url=self.minio,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=_SECONDS),
        )


@dataclass
class Clients:
    """Threads that use the system until told to stop."""

    access: Access
    ledger: Ledger
    seed: int
    bad_share: float = 1 / 21  # 1 bad among 20 good
    faults: tuple[str, ...] = ("cut",)
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
        chance = random.Random(f"{self.seed}/client {number}")
        own: list[Slot] = []
        with self.access.http() as http:
            s3 = self.access.s3()
            while not self.stop.wait(chance.uniform(0, 2 * self.pause_seconds)):
                self._act(chance, own, http, s3)
            s3.close()

    def _act(self, chance: random.Random, own: list[Slot], http: httpx.Client, s3) -> None:  # noqa: ANN001
        settled = [slot for slot in own if slot.key and not slot.in_doubt]
        match chance.choices(("post", "ticket", "s3", "overwrite", "delete"), (30, 20, 30, 10, 10))[0]:
            case "post":
                slot, content, data = self.ledger.add(Slot("post")), *self._photo(chance)
                slot.steps.append(Step(content, _post(http, slot, data)))
            case "ticket":
                slot, content, data = self.ledger.add(Slot("ticket")), *self._photo(chance)
                slot.steps.append(Step(content, _send_form(http, slot, data)))
            case "s3":
                content, data = self._photo(chance)
                slot = self.ledger.add(Slot("s3", key=f"drill/{self.seed}/{content.number}"))
                slot.steps.append(Step(content, _put(s3, slot, data)))
                own.append(slot)
                if chance.random() < _IMPATIENT and not slot.in_doubt:
                    self.stop.wait(chance.uniform(0, _IN_WORK_SECONDS))
                    self._change(chance, slot, s3)
            case "overwrite" if settled:
                self._overwrite(chance, chance.choice(settled), s3)
            case "delete" if settled:
                slot = chance.choice(settled)
                slot.steps.append(Step(None, _delete(s3, slot)))

    def _change(self, chance: random.Random, slot: Slot, s3) -> None:  # noqa: ANN001
        if chance.random() < 0.5:
            self._overwrite(chance, slot, s3)
        else:
            slot.steps.append(Step(None, _delete(s3, slot)))

    def _overwrite(self, chance: random.Random, slot: Slot, s3) -> None:  # noqa: ANN001
        content, data = self._photo(chance)
        slot.steps.append(Step(content, _put(s3, slot, data)))

    def _photo(self, chance: random.Random) -> tuple[Content, bytes]:
        number = next(self._numbers)
        data, bad = photos.paint(number), chance.random() < self.bad_share
        if bad:
            fault = chance.choice(self.faults)
            data = photos.spoil(data) if fault == "cut" else photos.poison(data, fault)
        return Content(number, hashlib.sha256(data).hexdigest(), bad=bad), data


def _post(http: httpx.Client, slot: Slot, data: bytes) -> Outcome:
    try:
        answer = http.post("/api/v1/images", files={"file": ("drill.jpg", data, "image/jpeg")})
    except httpx.HTTPError:
        return "maybe"
    return _judge(answer, slot)


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


def _put(s3, slot: Slot, data: bytes) -> Outcome:  # noqa: ANN001
    return _ask(lambda: s3.put_object(Bucket=ORIGINALS, Key=slot.key, Body=data))


def _delete(s3, slot: Slot) -> Outcome:  # noqa: ANN001
    return _ask(lambda: s3.delete_object(Bucket=ORIGINALS, Key=slot.key))


def _ask(request) -> Outcome:  # noqa: ANN001
    try:
        request()
    except ClientError as fault:
        return _believe(fault.response["ResponseMetadata"]["HTTPStatusCode"])
    except BotoCoreError:
        return "maybe"
    return "acknowledged"


def _judge(answer: httpx.Response, slot: Slot) -> Outcome:
    try:
        slot.image_id = answer.json().get("id")
    except ValueError:
        slot.image_id = None
    return _believe(answer.status_code)


def _believe(status: int) -> Outcome:
    if status < 300:
        return "acknowledged"
    return "refused" if status < 500 else "maybe"
