"""A client that does nothing but ask for the status of what others have sent, and remembers every answer."""

import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import httpx

from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import Ledger, Slot

_FINAL = {"DONE", "FAILED", "DELETED"}


@dataclass(frozen=True)
class Sight:
    """One answer."""

    generation: int
    status: str


@dataclass
class Observer:
    """A thread that reads until told to stop."""

    access: Access
    ledger: Ledger
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    sights: dict[str, list[Sight]] = field(default_factory=lambda: defaultdict(list))
    unanswered: int = 0
    false_404s: list[str] = field(default_factory=list)

    def run(self) -> threading.Thread:
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        return thread

    def _look(self) -> None:
        chance = random.Random(f"{self.seed}/observer")  # noqa: S311 - its chance is no secret
        with self.access.http() as http:
            while not self.stop.wait(0.02):
                known = [slot for slot in self.ledger if slot.image_id or slot.key]
                if known:
                    # The newest are those whose status moves.
                    self._ask(http, known[-1 - min(len(known) - 1, int(chance.expovariate(0.02)))])

    def _ask(self, http: httpx.Client, slot: Slot) -> None:
        known_before = slot.acknowledged
        try:
            if slot.image_id:
                answer = http.get(f"/api/v1/images/{slot.image_id}")
                images = [answer.json()] if answer.status_code == 200 else []
            else:
                answer = http.get("/api/v1/images", params={"key": slot.key})
                images = answer.json()["items"] if answer.status_code == 200 else []
        except (httpx.HTTPError, ValueError):
            self.unanswered += 1
            return
        if answer.status_code == 404 and known_before:
            self.false_404s.append(slot.name)
        for image in images:
            self.sights[image["id"]].append(Sight(image["generation"], image["status"]))


_ALLOWED = {("FAILED", "DONE"), ("DONE", "DELETED"), ("FAILED", "DELETED")}


def regressions(sights: list[Sight]) -> list[str]:
    """Find what no honest status does: an older generation, or a final state left without a newer upload.

    FAILED may become DONE: a later try of the same photo succeeded.
    """
    found = []
    for before, after in pairwise(sights):
        back = after.generation < before.generation
        same = after.generation == before.generation and after.status == before.status
        left = after.generation == before.generation and before.status in _FINAL and not same
        if back or (left and (before.status, after.status) not in _ALLOWED):
            found.append(f"{before} was followed by {after}")
    return found
