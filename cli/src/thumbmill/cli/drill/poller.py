"""A client that only polls the status of the clients' images and records each response."""

import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import httpx

from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import History, TrackedKey

_FINAL = {"DONE", "FAILED", "DELETED"}
# FAILED may become DONE: a later attempt at the same object succeeded.
_ALLOWED = {("FAILED", "DONE"), ("DONE", "DELETED"), ("FAILED", "DELETED")}


@dataclass(frozen=True)
class Observation:
    """The status in one response."""

    generation: int
    status: str


@dataclass
class Poller:
    """A thread that polls until ``stop`` is set."""

    access: Access
    history: History
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    observations: dict[str, list[Observation]] = field(default_factory=lambda: defaultdict(list))
    unanswered: int = 0
    unexpected_404s: list[str] = field(default_factory=list)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        rng = random.Random(f"{self.seed}/observer")  # noqa: S311 - not for secrets
        with self.access.http() as http:
            while not self.stop.wait(0.02):
                known = [tracked for tracked in self.history if tracked.image_id or tracked.key]
                if known:
                    # Prefer the newest, whose status still changes.
                    self._poll(http, known[-1 - min(len(known) - 1, int(rng.expovariate(0.02)))])

    def _poll(self, http: httpx.Client, tracked: TrackedKey) -> None:
        acknowledged_before = tracked.acknowledged
        try:
            if tracked.image_id:
                response = http.get(f"/api/v1/images/{tracked.image_id}")
                images = [response.json()] if response.status_code == 200 else []
            else:
                response = http.get("/api/v1/images", params={"key": tracked.key})
                images = response.json()["items"] if response.status_code == 200 else []
        except (httpx.HTTPError, ValueError):
            self.unanswered += 1
            return
        if response.status_code == 404 and acknowledged_before:
            self.unexpected_404s.append(tracked.name)
        for image in images:
            self.observations[image["id"]].append(Observation(image["generation"], image["status"]))


def regressions(observations: list[Observation]) -> list[str]:
    """Return each step back: to an older generation, or out of a final state without a newer upload."""
    found = []
    for before, after in pairwise(observations):
        is_older = after.generation < before.generation
        is_same = after == before
        left_final = after.generation == before.generation and before.status in _FINAL and not is_same
        if is_older or (left_final and (before.status, after.status) not in _ALLOWED):
            found.append(f"{before} was followed by {after}")
    return found
