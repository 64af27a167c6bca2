from contextlib import nullcontext
from threading import Event
from types import SimpleNamespace

from thumbmill.tracker.reconciliation import loop
from thumbmill.tracker.reconciliation.loop import Reconciler


def test_the_publisher_of_an_idle_reconciler_answers_heartbeats(monkeypatch):
    """Otherwise the broker would close its connection after every pass, with an error in its log."""
    monkeypatch.setattr(loop, "POLL_SECONDS", 0.01)
    stop = Event()
    reconciler = Reconciler(
        repository=SimpleNamespace(lock=lambda: nullcontext(False)),
        runs=None,
        requests=None,
        scanner=None,
        repairer=SimpleNamespace(publisher=SimpleNamespace(keep_alive=stop.set)),
        stop=stop,
        per_minute=1,
        interval_seconds=lambda: 1,
    )
    reconciler.run()
    assert stop.is_set()
