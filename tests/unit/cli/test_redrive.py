from threading import Event

import pytest

from tests.unit.cli.test_dead_letters import KEY, event, headers_of, letter, record
from thumbmill.cli.dead_letters.model import Selection
from thumbmill.cli.dead_letters.redrive import DeadLetterActions, Tally, apply_all, select
from thumbmill.core.errors import DependencyUnavailable


class Steps:
    """A broker that writes down what is asked of it, and goes away when told to."""

    def __init__(self, fails_at=""):
        self.taken = []
        self.waited = 0.0
        self.fails_at = fails_at

    def _do(self, step, *what):
        if step == self.fails_at:
            raise DependencyUnavailable("rabbitmq", "gone")
        self.taken.append((step, *what))

    def publish_event(self, told):
        self._do("publish_event", told)

    def publish(self, exchange, key, body, *, headers, **_):
        self._do("publish", exchange, key, body, headers)

    def remove(self, raw):
        self._do("remove", raw)

    def wait(self, seconds):
        self.waited += seconds

    def peek(self, queue):
        yield from (one.raw for one in LETTERS if one.raw.queue == queue)

    @property
    def names(self):
        return [step[0] for step in self.taken]


DEAD = {**headers_of(OSError("no luck")), "x-delivery-count": 7, "x-death": [{"reason": "expired"}]}
LETTERS = [
    letter(headers=DEAD),
    letter(b"garbage", {"x-reason": "malformed event"}),
    letter(event(record("other")), DEAD, queue="status_tracker.dead"),
]


def run(steps, action="redrive", letters=LETTERS, stop=None, **options):
    tally = Tally()
    actions = DeadLetterActions("ada", steps, run_id="2026")
    apply_all(
        iter(letters),
        getattr(actions, action),
        steps,
        tally,
        stop=stop or Event(),
        keep_alive=lambda: None,
        **{"rate": 1e6, **options},
    )
    return tally


def test_a_letter_is_told_of_then_sent_then_removed():
    steps = Steps()
    run(steps, letters=LETTERS[:1])
    assert steps.names == ["publish_event", "publish", "remove"]
    told = steps.taken[0][1]
    assert (told.source, told.data.key, told.data.operator, told.data.run_id) == (
        "/cli",
        KEY,
        "ada",
        "2026",
    )
    assert (told.data.queue, told.data.code) == ("image_queue", "attempts_exhausted")


def test_it_goes_back_as_if_it_had_never_been_tried():
    steps = Steps()
    run(steps, letters=LETTERS[:1])
    _, exchange, key, body, headers = steps.taken[1]
    assert (exchange, key, body) == ("message.retry", "image_queue", LETTERS[0].raw.body)
    assert headers == {
        "x-routing-key": "immediate", "x-exchange": "", "x-author": "",
        "x-run": "2026", "x-redriven-by": "ada", "x-redriven-at": "2026",
    }  # fmt: skip


def test_what_proves_a_letters_origin_goes_back_with_it():
    steps, origin = Steps(), {"x-exchange": "image.lifecycle", "x-author": "thumbnailer", "x-seal": "5ea1"}
    run(steps, letters=[letter(headers={**DEAD, **origin}, queue="status_tracker.dead")])
    assert steps.taken[1][4].items() >= origin.items()


@pytest.mark.parametrize(
    ("action", "step"), [("redrive", "publish_event"), ("redrive", "publish"), ("drop", "publish_event")]
)
def test_a_letter_stays_unless_everything_before_went_well(action, step):
    steps = Steps(fails_at=step)
    with pytest.raises(DependencyUnavailable):
        run(steps, action, LETTERS[:1])
    assert "remove" not in steps.names


def test_of_garbage_nothing_can_be_told():
    steps = Steps()
    run(steps, "drop", LETTERS[1:2])
    assert steps.names == ["remove"]


def test_the_tally_counts_by_code():
    tally = run(Steps())
    assert (tally.done, tally.moved, tally.interrupted) == (
        {"attempts_exhausted": 2, "malformed_event": 1},
        3,
        False,
    )


def test_stopping_takes_up_no_further_letter():
    stop, steps = Event(), Steps()

    def letters():
        yield LETTERS[0]
        stop.set()
        yield LETTERS[1]

    tally = run(steps, letters=letters(), stop=stop)
    assert (tally.moved, tally.interrupted) == (1, True)
    assert steps.names.count("remove") == 1


def test_a_rate_is_kept(monkeypatch):
    steps = Steps()
    monkeypatch.setattr("thumbmill.cli.dead_letters.redrive.monotonic", lambda: steps.waited)
    run(steps, letters=LETTERS * 4, rate=2)
    assert steps.waited == pytest.approx(11 / 2)


def test_the_letters_of_the_queues_asked_for_are_looked_at():
    tally, chosen = Tally(), Selection(codes=frozenset({"attempts_exhausted"}))
    found = list(select(Steps(), ["image_queue", "status_tracker"], chosen, tally))
    assert [one.queue for one in found] == ["image_queue", "status_tracker"]
    assert tally.seen == 3
    assert [one.queue for one in select(Steps(), ["status_tracker"], chosen, Tally())] == ["status_tracker"]
