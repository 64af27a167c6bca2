from threading import Event

import pytest

from tests.unit.cli.test_dead_letters import KEY, dead_letter, event, headers_of, record
from thumbmill.cli.dead_letters.model import Selection
from thumbmill.cli.dead_letters.redrive import DeadLetterActions, Tally, apply_all, select
from thumbmill.core.errors import DependencyUnavailable


class FakeBroker:
    """A reader and publisher that records each call, and fails at one of them."""

    def __init__(self, fails_at=""):
        self.calls = []
        self.waited = 0.0
        self.fails_at = fails_at

    def _record(self, call, *arguments):
        if call == self.fails_at:
            raise DependencyUnavailable("rabbitmq", "closed")
        self.calls.append((call, *arguments))

    def publish_event(self, event):
        self._record("publish_event", event)

    def publish(self, exchange, key, body, *, headers, **_):
        self._record("publish", exchange, key, body, headers)

    def remove(self, raw):
        self._record("remove", raw)

    def wait(self, seconds):
        self.waited += seconds

    def peek(self, queue):
        yield from (one.raw for one in DEAD_LETTERS if one.raw.queue == queue)

    @property
    def names(self):
        return [call[0] for call in self.calls]


DEAD = {**headers_of(OSError("no luck")), "x-delivery-count": 7, "x-death": [{"reason": "expired"}]}
DEAD_LETTERS = [
    dead_letter(headers=DEAD),
    dead_letter(b"malformed", {"x-reason": "malformed event"}),
    dead_letter(event(record("other")), DEAD, queue="status_tracker.dead"),
]


def run(broker, action="redrive", dead_letters=DEAD_LETTERS, stop=None, **options):
    tally = Tally()
    actions = DeadLetterActions("ada", broker, run_id="2026")
    apply_all(
        iter(dead_letters),
        getattr(actions, action),
        broker,
        tally,
        stop=stop or Event(),
        keep_alive=lambda: None,
        **{"rate": 1e6, **options},
    )
    return tally


def test_a_redrive_publishes_an_event_then_the_message_then_removes_it():
    broker = FakeBroker()
    run(broker, dead_letters=DEAD_LETTERS[:1])
    assert broker.names == ["publish_event", "publish", "remove"]
    event = broker.calls[0][1]
    assert (event.source, event.data.key, event.data.operator, event.data.run_id) == (
        "/cli",
        KEY,
        "ada",
        "2026",
    )
    assert (event.data.queue, event.data.code) == ("image_queue", "attempts_exhausted")


def test_a_redriven_message_is_a_first_attempt():
    broker = FakeBroker()
    run(broker, dead_letters=DEAD_LETTERS[:1])
    _, exchange, key, body, headers = broker.calls[1]
    assert (exchange, key, body) == ("message.retry", "image_queue", DEAD_LETTERS[0].raw.body)
    assert headers == {
        "x-routing-key": "immediate", "x-exchange": "", "x-author": "",
        "x-run": "2026", "x-redriven-by": "ada", "x-redriven-at": "2026",
    }  # fmt: skip


def test_the_headers_of_origin_are_kept():
    broker, origin = FakeBroker(), {"x-exchange": "image.lifecycle", "x-author": "thumbnailer", "x-seal": "5ea1"}
    run(broker, dead_letters=[dead_letter(headers={**DEAD, **origin}, queue="status_tracker.dead")])
    assert broker.calls[1][4].items() >= origin.items()


@pytest.mark.parametrize(
    ("action", "call"), [("redrive", "publish_event"), ("redrive", "publish"), ("drop", "publish_event")]
)
def test_a_dead_letter_is_not_removed_after_an_error(action, call):
    broker = FakeBroker(fails_at=call)
    with pytest.raises(DependencyUnavailable):
        run(broker, action, DEAD_LETTERS[:1])
    assert "remove" not in broker.names


def test_no_event_is_published_for_a_message_without_an_image():
    broker = FakeBroker()
    run(broker, "drop", DEAD_LETTERS[1:2])
    assert broker.names == ["remove"]


def test_the_tally_counts_by_code():
    tally = run(FakeBroker())
    assert (tally.done, tally.moved, tally.interrupted) == (
        {"attempts_exhausted": 2, "malformed_event": 1},
        3,
        False,
    )


def test_stopping_starts_no_further_dead_letter():
    stop, broker = Event(), FakeBroker()

    def dead_letters():
        yield DEAD_LETTERS[0]
        stop.set()
        yield DEAD_LETTERS[1]

    tally = run(broker, dead_letters=dead_letters(), stop=stop)
    assert (tally.moved, tally.interrupted) == (1, True)
    assert broker.names.count("remove") == 1


def test_the_rate_is_limited(monkeypatch):
    broker = FakeBroker()
    monkeypatch.setattr("thumbmill.cli.dead_letters.redrive.monotonic", lambda: broker.waited)
    run(broker, dead_letters=DEAD_LETTERS * 4, rate=2)
    assert broker.waited == pytest.approx(11 / 2)


def test_only_the_given_queues_are_read():
    tally, chosen = Tally(), Selection(codes=frozenset({"attempts_exhausted"}))
    found = list(select(FakeBroker(), ["image_queue", "status_tracker"], chosen, tally))
    assert [one.queue for one in found] == ["image_queue", "status_tracker"]
    assert tally.seen == 3
    assert [one.queue for one in select(FakeBroker(), ["status_tracker"], chosen, Tally())] == ["status_tracker"]
