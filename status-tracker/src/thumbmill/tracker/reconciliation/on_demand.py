"""``POST /reconcile`` on the side port: a whole pass now, as fast as it goes, told line by line.

It does nothing that the loop would not do anyway, and waits for its turn between two pages of it. The pass has a
thread, a connection and a publisher of its own. The request's thread tells once a second how far it is, and so
notices when nobody listens any more: the pass ends then after the object in hand. What it has healed stays healed,
and the rest is the loop's.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from threading import Event, Lock
from typing import Protocol

import structlog

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.core.service.admin_server import Command
from thumbmill.tracker.background import start
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.reconciliation.loop import make_reconciler
from thumbmill.tracker.reconciliation.repair import StoppedError
from thumbmill.tracker.settings import Settings

log = structlog.get_logger()

PATH = "/reconcile"
NAME = "status-tracker reconciliation on demand"
TELL_SECONDS = 1.0

Line = dict[str, object]


class Told(Protocol):
    """How far something has come."""

    def to_dict(self) -> dict[str, object]:
        """Give it for a program."""


@dataclass
class Errand:
    """Work in a thread, as far as another one may look at it."""

    reports: Iterator[Told | None]
    latest: Told | None = None
    fault: str = ""

    def run(self) -> None:
        """Go through the work to its end, whatever that is."""
        try:
            for report in self.reports:
                self.latest = report or self.latest
        except StoppedError:
            self.fault = "the tracker is stopping"
        except DependencyUnavailable as away:
            self.fault = str(away)
        except Exception:
            log.exception("turn_failed", what=NAME)
            self.fault = "the tracker failed; its log says how"


def take_orders(settings: Settings, storage: Storage, stop: Event) -> Command:
    """Give what answers an order; one is carried out at a time, and others wait."""
    turn = Lock()

    def reconcile(wishes: Mapping[str, object]) -> Generator[Line]:
        dry_run = wishes.get("dry_run", False)
        if not isinstance(dry_run, bool) or wishes.keys() - {"dry_run"}:
            raise ValueError('the only wish is {"dry_run": true} or {"dry_run": false}')
        return in_turn(turn, lambda: _carry_out(settings, storage, stop, dry_run=dry_run))

    return reconcile


def in_turn(turn: Lock, carry_out: Callable[[], Generator[Line]]) -> Generator[Line]:
    """Wait until nobody else has the turn, and tell so; then tell what is carried out."""
    while not turn.acquire(timeout=TELL_SECONDS):
        yield {"state": "waiting"}
    try:
        yield from carry_out()
    finally:
        turn.release()


def _carry_out(settings: Settings, storage: Storage, stop: Event, *, dry_run: bool) -> Generator[Line]:
    with closing(Repository(settings.database_url, NAME)) as repository, Publisher(settings, NAME) as publisher:
        give_up = Event()
        reconciler = make_reconciler(settings, repository, storage, publisher, give_up, dry_run=dry_run)
        yield from run_follow_ups(Errand(reconciler.run_pass(give_up)), stop, give_up)


def run_follow_ups(errand: Errand, stop: Event, give_up: Event) -> Generator[Line]:
    """Run an errand in a thread and tell of it; ``give_up`` is set when ``stop`` is, or nobody listens."""
    thread = start(NAME, errand.run)
    try:
        while thread.is_alive():
            yield _line("running" if errand.latest else "waiting", errand.latest)
            thread.join(TELL_SECONDS)
            if stop.is_set():
                give_up.set()
    finally:
        give_up.set()
        thread.join()
    yield _line("failed", errand.latest) | {"fault": errand.fault} if errand.fault else _line("done", errand.latest)


def _line(state: str, report: Told | None) -> Line:
    return {"state": state} | (report.to_dict() if report else {})
