"""What operators see: counts, workers and dead letters, as the gateway reads them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.postgres.messages import (
    lifecycle_message,
    notification,
    record_processed_images,
    removal_message,
    watermark_message,
)
from tests.integration.postgres.operators import EXHAUSTED, UNREADABLE, ask, fail, system_message
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.identity import new_image_id, upload_key
from thumbmill.core.contracts.system_events import WorkerAlive
from thumbmill.tracker.queue_lengths import QueueWatch

# --- counts -----------------------------------------------------------------------------------------------


def counted(database):
    rows = database.ask("SELECT status, count(*) AS images FROM images GROUP BY status")
    return {row["status"]: row["images"] for row in rows}


def test_the_numbers_of_images_are_those_of_the_rows(database, repository, tracker, publications):
    record_processed_images(tracker, publications)
    keys = [upload_key(new_image_id()) for _ in range(5)]
    tracker.handle([notification(key=key) for key in keys], publications)
    tracker.handle([removal_message(key=key) for key in keys[:2]], publications)
    expected = {"PROCESSING": 1, "DONE": 1, "FAILED": 1, "PENDING": 3, "DELETED": 2}
    assert counted(database) == expected
    watch = QueueWatch(LengthOnly(), repository, ("image_queue",), lambda _: None)
    for _ in range(2):
        assert {s: n for s, n in ask(database, lambda views: views.counts()).items() if n} == expected
        watch.run()  # adds them up
    assert database.ask("SELECT count(*) AS n FROM image_counts")[0]["n"] == len(expected)
    database.ask("DELETE FROM images WHERE status = 'PENDING'")
    assert ask(database, lambda views: views.counts())["PENDING"] == 0
    database.ask("TRUNCATE images")
    assert ask(database, lambda views: views.counts()) == {}


class LengthOnly:
    def message_count(self, _):
        return 7


def test_failures_are_counted_by_code_and_age(database, tracker, publications, bucket):
    keys = [fail(tracker, publications, bucket, code) for code in (EXHAUSTED, EXHAUSTED, UNREADABLE)]
    hours = dict(zip(keys, (0, 5, 50), strict=True))
    for key, age in hours.items():
        database.ask(
            "UPDATE images SET updated_at = updated_at - %s WHERE key = %s RETURNING 1", [timedelta(hours=age), key]
        )
    rows = {row.code: row for row in ask(database, lambda views: views.failures())}
    exhausted, unreadable = rows["attempts_exhausted"], rows["unreadable_image"]
    assert (exhausted.last_hour, exhausted.last_day, exhausted.last_week) == (1, 2, 2)
    assert (unreadable.last_hour, unreadable.last_day, unreadable.last_week) == (0, 0, 1)


# --- workers and queues -----------------------------------------------------------------------------------


def alive(worker, **values):
    defaults = {
        "worker": worker,
        "host": "a host",
        "process_id": 7,
        "version": "1",
        "started_at": datetime.now(UTC),
        "interval_seconds": 10,
        "decoders": 2,
        "slow_decoders": 1,
        "in_flight": 0,
        "presets": "v1",
    }
    return WorkerAlive(**defaults | values)


def test_a_worker_is_one_row_however_often_it_is_seen(database, tracker, publications):
    worker, now = uuid.uuid4(), datetime.now(UTC)
    beats = [
        system_message(alive(worker, in_flight=seconds), "thumbnailer", now + timedelta(seconds=seconds - 60))
        for seconds in (0, 10, 20)
    ]
    tracker.handle([*beats, beats[0]], publications)  # one of them is delivered again
    [row] = ask(database, lambda views: views.workers())
    assert (row.in_flight, row.last_seen, row.missing) == (20, now - timedelta(seconds=40), False)
    assert database.ask("SELECT count(*) AS n FROM events")[0]["n"] == 0
    tracker.handle([watermark_message(now + timedelta(seconds=1))], publications)
    [row] = ask(database, lambda views: views.workers())
    assert row.missing, "the tracker has seen everything since, and no heartbeat"
    tracker.handle([system_message(alive(worker, stopped=True), "thumbnailer")], publications)
    assert ask(database, lambda views: views.workers()) == []


def test_a_worker_that_was_lost_is_forgotten_after_a_while(database, repository, tracker, publications):
    now = datetime.now(UTC)
    for age in (timedelta(minutes=14), timedelta(minutes=16)):
        tracker.handle([system_message(alive(uuid.uuid4()), "thumbnailer", now - age)], publications)
    QueueWatch(LengthOnly(), repository, ("image_queue",), lambda _: None).run()
    assert [row.last_seen for row in ask(database, lambda views: views.workers())] == [now - timedelta(minutes=14)]
    assert [(row.name, row.ready) for row in ask(database, lambda views: views.queues())] == [("image_queue", 7)]


def test_the_throughput_is_read_from_the_feed(database, tracker, publications):
    assert ask(database, lambda views: views.throughput()).images == 0
    keys = [upload_key(new_image_id()) for _ in range(3)]
    for key in keys:
        tracker.handle([notification(key=key)], publications)
    tracker.handle([lifecycle_message(event_factory.done(key=key)) for key in keys], publications)
    found = ask(database, lambda views: views.throughput())
    assert (found.images, found.changes) == (3, 6)
    assert 0 <= found.p50 <= found.p95 < 60


# --- dead letters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "dead_letter", "superseded"),
    [
        ({}, {}, False),
        ({"run_id": "2026-11-29T01"}, {}, True),
        ({"run_id": "2026-11-29T01"}, {"run_id": "2026-11-29T02"}, False),
        ({"run_id": "2026-11-29T01"}, {"object_version": None}, False),  # no upload
        ({"object_version": "b/1/1"}, {}, True),
        ({"object_version": "b/1/1"}, {"dead_lettered_at": "now"}, False),  # the tracker may not have seen it all
        ({"status": "DELETED"}, {}, True),
        ({"status": "DONE"}, {"image_id": uuid.UUID(int=9)}, False),  # an image that is unknown
    ],
)
def test_a_dead_letter_is_superseded_by_a_later_run(database, image, dead_letter, superseded):
    image_id = uuid.UUID(int=1)
    images = {
        "id": image_id,
        "key": "a",
        "status": "FAILED",
        "object_version": "a/1/1",
        "generation": 1,
        "run_id": "",
        "attempts": 1,
        "variants": "[]",
        "variants_removed": False,
        "created_at": "now",
        "updated_at": "now",
        "version": 1,
    } | image
    dead_letters = {
        "queue": "image_queue.dead",
        "position": 0,
        "image_id": image_id,
        "object_version": "a/1/1",
        "run_id": "",
        "code": "attempts_exhausted",
        "reason": "no answer",
        "dead_lettered_at": datetime.now(UTC) - timedelta(minutes=5),
    } | dead_letter
    database.ask("UPDATE progress SET caught_up_to = clock_timestamp()")
    for table, values in (("images", images), ("dead_letters", dead_letters)):
        names, places = ", ".join(values), ", ".join(["%s"] * len(values))
        database.ask(f"INSERT INTO {table} ({names}) VALUES ({places})", list(values.values()))  # noqa: S608
    [row] = ask(database, lambda views: views.dead_letters())
    assert row.superseded is superseded
