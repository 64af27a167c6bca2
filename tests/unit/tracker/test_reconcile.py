from contextlib import nullcontext
from threading import Event
from types import SimpleNamespace

from thumbmill.tracker.reconciliation import loop
from thumbmill.tracker.reconciliation.loop import Reconciler


def test_the_publisher_of_a_reconciler_with_nothing_to_say_answers_heartbeats(monkeypatch):
    """Or the broker would close its connection, with an error in its log, after every pass."""
    monkeypatch.setattr(loop, "LOCKED_SECONDS", 0.01)
    stop = Event()
    reconciler = Reconciler(
        inventory=SimpleNamespace(locked=lambda: nullcontext(False)),
        scanner=None,
        repairer=SimpleNamespace(publisher=SimpleNamespace(keep_alive=stop.set)),
        per_minute=1,
        interval_seconds=lambda: 1,
    )
    reconciler.run(stop)
    assert stop.is_set()
