"""When a dead letter queue is read, and what is dropped from it. The table and the queue are in memory."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.messaging.dead_letters import RawDeadLetter
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.tracker import dead_letters
from thumbmill.tracker.dead_letters import DeadLetterWatch
from thumbmill.tracker.republish import make_upload_body

QUEUE = "image_queue.dead"
VERSION = ObjectVersion("1" * 32, 1000, 1_700_000_001)


def dead_letter(key):
    body = make_upload_body(key, ObjectMetadata(VERSION, VERSION.etag, "image/jpeg", {}))
    headers = {"x-error-code": "attempts_exhausted", "x-died-at": "2026-11-29T12:00:00+00:00", "x-run": "a run"}
    return RawDeadLetter(QUEUE, body, "application/json", headers=headers)


class Broker:
    """One queue; ``held`` messages are out of it, as while an operator's program looks at them."""

    def __init__(self, *keys):
        self.messages = [dead_letter(key) for key in keys]
        self.held = 0
        self.looks = 0

    def __call__(self, *_):
        self.looks += 1
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def peek(self, queue):
        assert queue == QUEUE
        return iter(self.messages[self.held :])

    def remove(self, raw):
        self.messages.remove(raw)


class Table:
    """The table dead_letters, in which some keys are superseded."""

    def __init__(self):
        self.rows = {}
        self.superseded = set()

    @contextmanager
    def advisory_lock(self, _):
        yield True

    @contextmanager
    def connected(self):
        yield SimpleNamespace(transaction=self.connected)


@pytest.fixture
def table(monkeypatch):
    table = Table()

    def execute(_, statement, **values):
        match statement:
            case "clear_dead_letters":
                table.rows[values["queue"]] = []
            case "write_dead_letters":
                for record in json.loads(values["records"]):
                    table.rows[record["queue"]].append(record)
            case "superseded_dead_letters":
                rows = table.rows.get(values["queue"], [])
                return [row for row in rows if row["image_id"] in table.superseded]
        return None

    monkeypatch.setattr(dead_letters, "execute", execute)
    return table


@pytest.fixture
def timeline():
    return []


@pytest.fixture
def watch(monkeypatch, table, timeline):
    def make(broker):
        monkeypatch.setattr(dead_letters, "DeadLetterReader", broker)
        tracker = SimpleNamespace(record=timeline.extend)
        watch = DeadLetterWatch(table, tracker, None, "image_queue")
        return lambda: watch.run({QUEUE: len(broker.messages), "status_tracker.dead": 0})

    return make


def test_a_queue_is_read_only_when_its_length_has_changed(watch, table):
    broker = Broker("a", "b")
    run = watch(broker)
    for _ in range(3):
        run()
    assert (broker.looks, len(table.rows[QUEUE])) == (1, 2)
    broker.messages.append(dead_letter("c"))
    run()
    assert broker.looks == 1, "the length has not settled"
    run()
    assert (broker.looks, len(table.rows[QUEUE])) == (2, 3)
    broker.messages.clear()
    run()
    assert (broker.looks, table.rows[QUEUE]) == (2, []), "an empty queue needs no look"


def test_a_look_that_missed_messages_is_repeated(watch, table):
    broker = Broker("a", "b", "c")
    run = watch(broker)
    broker.held = 2
    run()
    run()
    assert len(table.rows[QUEUE]) == 1
    broker.held = 0
    run()
    assert len(table.rows[QUEUE]) == 3


def test_what_is_superseded_is_dropped_with_a_note_in_the_timeline(watch, table, timeline):
    broker = Broker("a", "b", "c")
    run = watch(broker)
    run()
    run()
    table.superseded = {table.rows[QUEUE][1]["image_id"]}
    run()
    assert [message.body for message in broker.messages] == [dead_letter("a").body, dead_letter("c").body]
    assert len(table.rows[QUEUE]) == 2
    [event] = timeline
    assert (event.type, event.key, event.recorded_by) == ("image.dropped", "b", "/status-tracker")
    looks = broker.looks
    run()
    assert broker.looks == looks
