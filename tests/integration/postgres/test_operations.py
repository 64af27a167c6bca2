"""What operators see and order: counts, workers, dead letters, redrives and runs, as the gateway reads them."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from tests.integration.postgres.messages import (
    head,
    lifecycle_message,
    notification,
    record_processed_images,
    removal_message,
    watermark_message,
)
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.contracts.system_events import ReconciliationRequested, RedriveRequested, WorkerAlive
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import LIFECYCLE
from thumbmill.gateway.images.database import Database as GatewayDatabase
from thumbmill.gateway.operations.repository import OperationsRepository, Scope
from thumbmill.tracker.on_demand.repository import MAX_OPEN, RequestRepository
from thumbmill.tracker.on_demand.request import RequestKind
from thumbmill.tracker.on_demand.retry import Retrier
from thumbmill.tracker.queue_lengths import QueueWatch
from thumbmill.tracker.reconciliation.drift import DriftKind
from thumbmill.tracker.reconciliation.runs import RunRepository

EXHAUSTED, UNREADABLE = ErrorCode.ATTEMPTS_EXHAUSTED, ErrorCode.UNREADABLE_IMAGE


def system_message(data, sender, at=None):
    event = to_cloud_event(data, by=sender, now=at)
    return Message(event.to_json(), event.type.value, CONTENT_TYPE, exchange=LIFECYCLE, sender=sender)


def ask(database, question):
    """Ask the views as the gateway does."""

    async def run():
        opened = GatewayDatabase(database.gateway)
        await opened.open()
        try:
            return await question(OperationsRepository(opened))
        finally:
            await opened.close()

    return asyncio.run(run())


def fail(tracker, publications, bucket, code=EXHAUSTED):
    key = upload_key(new_image_id())
    bucket.heads[key] = head()
    failed = lifecycle_message(event_factory.failed(key=key, code=code))
    tracker.handle([notification(key=key), failed], publications)
    return key


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


# --- orders -----------------------------------------------------------------------------------------------


def redrive_order(**values):
    return RedriveRequested(**{"operator": "API key 1", "until": datetime.now(UTC), "codes": [EXHAUSTED]} | values)


def test_an_order_that_comes_twice_is_one_request(database, tracker, publications):
    message = system_message(ReconciliationRequested(operator="API key 1", dry_run=True), "gateway")
    for _ in range(2):
        tracker.handle([message], publications)
    [row] = ask(database, lambda views: views.reconciliations())
    assert (row.state, row.dry_run, row.requested_by, row.objects) == ("waiting", True, "API key 1", 0)
    assert str(row.id) in message.body.decode()


def test_an_order_too_many_has_failed_with_the_reason(database, tracker, publications):
    orders = [system_message(redrive_order(), "gateway") for _ in range(MAX_OPEN + 1)]
    tracker.handle(orders, publications)
    rows = ask(database, lambda views: views.redrives())
    assert sorted(row.state for row in rows) == ["failed", *["waiting"] * MAX_OPEN]
    assert [str(MAX_OPEN) in row.error for row in rows if row.state == "failed"] == [True]


def test_a_redrive_does_what_was_counted_and_shows_each_image(database, repository, tracker, publications, bucket):
    keys = [fail(tracker, publications, bucket) for _ in range(3)]
    unreadable = fail(tracker, publications, bucket, UNREADABLE)
    until = ask(database, lambda views: views.now())
    scope = Scope(until, [EXHAUSTED.value, UNREADABLE.value])
    assert ask(database, lambda views: views.count_failed(scope)) == {
        "attempts_exhausted": 3,
        "unreadable_image": 1,
    }
    late = fail(tracker, publications, bucket)

    tracker.handle(
        [system_message(redrive_order(codes=[EXHAUSTED, UNREADABLE], until=until), "gateway")], publications
    )
    Retrier(repository, tracker, publications, Event()).run_once()

    [row] = ask(database, lambda views: views.redrives())
    assert (row.state, row.redriven, row.in_progress, row.done) == ("done", 3, 3, 0)
    assert len(publications.bodies) == 3
    assert [database.status(image_id_of(key))["status"] for key in (unreadable, late)] == ["FAILED"] * 2

    done = event_factory.done(key=keys[0], run_id=run_of(database, keys[0]))
    failed = event_factory.failed(key=keys[1], run_id=run_of(database, keys[1]))
    del bucket.heads[keys[2]]
    tracker.handle([lifecycle_message(done), lifecycle_message(failed), removal_message(key=keys[2])], publications)
    [row] = ask(database, lambda views: views.redrives())
    assert (row.redriven, row.done, row.failed, row.superseded, row.in_progress) == (3, 1, 1, 1, 0)
    images = {one.image_id: one for one in ask(database, lambda views: views.redriven_images(row.id))}
    assert {image_id_of(key): images[image_id_of(key)].result for key in keys} == {
        image_id_of(keys[0]): "done",
        image_id_of(keys[1]): "failed",
        image_id_of(keys[2]): "superseded",
    }
    [event] = [e for e in database.timeline(image_id_of(keys[0])) if e["type"] == "image.retry_requested"]
    assert (event["data"]["operator"], event["recorded_by"]) == ("API key 1", "/gateway")


def run_of(database, key):
    return database.status(image_id_of(key))["run_id"]


# --- runs of reconciliation -------------------------------------------------------------------------------


def test_a_pass_adds_up_and_the_next_one_is_another(database, repository):
    runs = RunRepository(repository)
    first = runs.open_pass()
    runs.save_pass(first, 10, {DriftKind.MISSED: 2}, ended=False)
    assert runs.open_pass() == first, "it continues after a restart"
    runs.save_pass(first, 5, {DriftKind.MISSED: 1, DriftKind.STUCK: 1}, ended=True)
    second = runs.open_pass()
    newest, oldest = ask(database, lambda views: views.reconciliations())
    assert (newest.id, newest.state, newest.objects) == (second, "running", 0)
    assert (oldest.id, oldest.state, oldest.objects, oldest.found) == (first, "done", 15, {"missed": 3, "stuck": 1})
    assert ask(database, lambda views: views.expected_objects()) == 15


def test_a_run_lists_its_images_and_no_more_than_it_may(database, repository, monkeypatch):
    monkeypatch.setattr("thumbmill.tracker.reconciliation.runs.MAX_IMAGES", 2)
    runs = RunRepository(repository)
    run_id, images = uuid.uuid4(), [uuid.uuid4() for _ in range(3)]
    for image_id in (images[0], *images):
        runs.add_image(run_id, DriftKind.MISSED, image_id, repaired=True)
    rows = ask(database, lambda views: views.reconciled_images(run_id))
    assert [(row.image_id, row.drift, row.repaired, row.status) for row in rows] == [
        (image_id, "missed", True, None) for image_id in images[:2]
    ]


def test_requests_by_the_admin_port_are_listed_with_those_of_the_api(database, repository):
    requests = RequestRepository(repository)
    parameters = {"codes": [], "ids": [], "since": "2026-11-29T00:00:00+00:00", "until": None, "force": True}
    request = requests.add(RequestKind.RETRY, parameters, dry_run=True, requested_by="ada")
    [row] = ask(database, lambda views: views.redrives())
    assert (row.id, row.requested_by, row.dry_run, row.parameters) == (request.event_id, "ada", True, parameters)
