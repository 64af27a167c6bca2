"""The tracker on a real database: what is written, what is announced again, and what a fault leaves behind."""

import json
import os
import socket
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from types import SimpleNamespace

import psycopg
import pytest
from pydantic import SecretStr

from pipeline.events import CONTENT_TYPE, Watermark, say
from pipeline.identity import ORIGINALS, image_id_of, new_image_id, own_key
from pipeline.messages import Message
from pipeline.notifications import parse_storage_events
from pipeline.outcomes import DependencyAway, NotAnEvent, Refused
from pipeline.storage import BadKeyError, Head
from status_tracker.database import ConflictError, UnstorableError
from status_tracker.recovery import removal_body, upload_body
from status_tracker.repository import Repository
from status_tracker.states import apply
from status_tracker.sweep import Sweep
from status_tracker.tracker import Tracker
from status_tracker.watermarks import Watermarks
from support.waiting import wait_until
from unit.status_tracker import saying
from unit.status_tracker.saying import KEY, V1, V2

ID = image_id_of(KEY)


def head(source=V1, **metadata):
    return Head(source, source.etag, "image/jpeg", metadata)


def announced(source=V1, target="instant", key=KEY):
    return Message(upload_body(key, head(source)), target, "application/json")


REMOVAL = removal_body(KEY)  # once, since it is named after its moment


def withdrawn(target="instant"):
    return Message(REMOVAL, target, "application/json")


def spoken(fact):
    return Message(fact.body, fact.type, CONTENT_TYPE)


def mark(at):
    return Message(say(Watermark(), by="status-tracker", now=at).to_json(), "tracker.watermark", CONTENT_TYPE)


# --- the path of one image -----------------------------------------------------------------------------------


def test_the_path_of_one_image(tracker, database, bucket, publications):
    tracker.handle([announced()], publications)
    assert database.status(ID)["status"] == "PENDING"
    tracker.handle([spoken(saying.processing()), spoken(saying.done()), announced(target="ledger")], publications)

    row = database.status(ID)
    assert (row["status"], row["key"], row["size"], row["source"]) == ("DONE", KEY, V1.size, str(V1))
    assert (row["width"], row["height"], row["format"], row["version"]) == (3000, 2000, "JPEG", 2)
    assert [variant["type"] for variant in row["variants"]] == ["thumbnail"]
    assert (row["details"], row["damaged"]) == (saying.DETAILS.model_dump(mode="json"), True)
    first, *others = [(fact["type"], fact["recorded_by"]) for fact in database.timeline(ID)]
    assert first == ("storage.ObjectCreated:Put", "instant")
    assert sorted(others) == [
        ("image.done", "/thumbnailer"),
        ("image.processing", "/thumbnailer"),
        ("storage.ObjectCreated:Put", "ledger"),
    ]
    assert (bucket.looks, publications.bodies) == (0, [])


def test_what_was_said_is_read_again(tracker, repository, publications):
    tracker.handle([announced(), spoken(saying.done())], publications)
    with repository.transaction() as books:
        row = books.lock_images([ID])[ID]
    assert (row.details, row.damaged) == (saying.DETAILS, True)
    with repository.transaction() as books:
        books.write([], [replace(row, details=None, damaged=False)])
    with repository.transaction() as books:
        row = books.lock_images([ID])[ID]
    assert (row.details, row.damaged) == (None, False)


def test_a_hundred_times_the_same_is_one_row_and_no_change(tracker, database, publications):
    messages = [announced(), announced(target="ledger"), spoken(saying.done())]
    tracker.handle(messages, publications)
    before = database.status(ID)
    for _ in range(3):
        tracker.handle(messages * 33, publications)
    assert database.status(ID) == before
    assert len(database.timeline(ID)) == 3


def test_a_batch_of_many_images_is_one_transaction(tracker, database, publications):
    keys = [own_key(new_image_id()) for _ in range(50)]
    facts = [make(key=key) for key in keys for make in (saying.processing, saying.done)]
    tracker.handle([*(announced(key=key) for key in keys), *map(spoken, facts)], publications)
    assert database.ask("SELECT status, count(*) FROM images GROUP BY 1") == [{"status": "DONE", "count": 50}]
    assert database.ask("SELECT count(DISTINCT xmin::text) FROM images") == [{"count": 1}]


def test_texts_that_postgres_cannot_hold_are_stored_without_their_nul(tracker, database, publications):
    odd = "a\0b\\u0000c"
    body = upload_body(KEY, head(**{"file-name": "a%00b%5Cu0000c"}))
    tracker.handle([Message(body, "instant", "application/json")], publications)
    assert database.status(ID)["file_name"] == odd.replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_a_number_that_postgres_cannot_hold_spoils_nothing_else(tracker, database, publications):
    other = own_key(new_image_id())
    with pytest.raises(UnstorableError):
        tracker.handle([announced(key=other), spoken(saying.processing(attempt=2**40))], publications)
    assert database.ask("SELECT * FROM images") == database.ask("SELECT * FROM events") == []
    tracker.handle([announced(key=other)], publications)
    assert database.status(image_id_of(other))["status"] == "PENDING"


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"Records": []}', upload_body("a\0b", head())])
def test_what_is_no_event_stops_the_batch_before_it_writes(tracker, database, publications, body):
    with pytest.raises(NotAnEvent):
        tracker.handle([announced(), Message(body, "instant", "application/json")], publications)
    assert database.status(ID) is None


def test_events_that_are_not_ours_are_let_pass(tracker, database, publications):
    other = upload_body(KEY, head()).replace(ORIGINALS.encode(), b"another-bucket")
    tracker.handle([Message(other, "instant", "application/json")], publications)
    assert database.ask("SELECT * FROM events") == []


# --- the bucket is the judge ---------------------------------------------------------------------------------


def test_a_removal_is_believed_when_the_bucket_agrees(tracker, database, bucket, publications):
    tracker.handle([announced(), spoken(saying.done())], publications)
    bucket.heads[KEY] = head()
    tracker.handle([withdrawn()], publications)
    assert database.status(ID)["status"] == "DONE"
    bucket.heads.clear()
    tracker.handle([withdrawn()], publications)
    row = database.status(ID)
    assert (row["status"], row["variants"]) == ("DELETED", [])


def test_one_look_serves_a_batch(tracker, database, bucket, publications):
    tracker.handle([announced()], publications)
    bucket.heads[KEY] = head(V2)
    tracker.handle([announced(V2), withdrawn(), spoken(saying.done(V2)), spoken(saying.done(V1))], publications)
    assert database.status(ID)["source"] == str(V2)
    assert bucket.looks == 1


@pytest.mark.parametrize(
    "removal", [withdrawn(), spoken(saying.removed())], ids=["the bucket's", "the thumbnailer's"]
)
def test_a_removal_that_came_first_is_remembered_though_it_made_no_row(tracker, database, publications, removal):
    tracker.handle([removal], publications)
    assert database.status(ID) is None
    tracker.handle([announced(), spoken(saying.done())], publications)
    assert database.status(ID)["status"] == "DELETED"


def test_a_key_that_the_store_refuses_is_no_objects(tracker, bucket, publications):
    tracker.handle([announced(key="a//b")], publications)
    bucket.fault = BadKeyError("Object name contains unsupported characters.")
    with pytest.raises(NotAnEvent, match=r"a//b.*unsupported characters"):
        tracker.handle([announced(V2, key="a//b")], publications)


def test_with_the_store_away_nothing_is_written(tracker, database, bucket, publications):
    tracker.handle([announced()], publications)
    bucket.fault = DependencyAway("minio")
    with pytest.raises(DependencyAway):
        tracker.handle([announced(V2), announced(key="another")], publications)
    assert database.status(ID)["source"] == str(V1)
    assert database.status(image_id_of("another")) is None


# --- announcing again ----------------------------------------------------------------------------------------


def test_what_the_ledger_alone_announced_is_announced_again(tracker, publications):
    message = announced(target="ledger")
    tracker.handle([message], publications)
    assert publications.bodies == [message.body]
    tracker.handle([message], publications)  # as after a crash behind the commit
    assert publications.bodies == [message.body] * 2


def test_what_the_thumbnailer_acts_upon_is_not_announced_again(tracker, publications):
    tracker.handle([announced(target="ledger"), spoken(saying.processing())], publications)
    assert publications.bodies == []


@pytest.mark.parametrize("order", [("instant", "ledger"), ("ledger", "instant")])
def test_twins_in_one_batch_are_not_announced_again(tracker, publications, order):
    tracker.handle([announced(target=target) for target in order], publications)
    assert publications.bodies == []


def test_a_removal_that_the_ledger_alone_announced_is_announced_again_until_the_variants_are_gone(
    tracker, database, publications
):
    tracker.handle([announced()], publications)
    tracker.handle([withdrawn("ledger")], publications)
    assert publications.bodies == [REMOVAL]
    tracker.handle([spoken(saying.removed())], publications)
    tracker.handle([withdrawn("ledger")], publications)
    assert len(publications.bodies) == 1


def test_a_publish_that_fails_is_made_up_for_by_the_redelivery(tracker, publications):
    def refuse(*_, **__):
        raise DependencyAway("rabbitmq")

    message = announced(target="ledger")
    with pytest.raises(DependencyAway):
        tracker.handle([message], SimpleNamespace(publish=refuse))
    tracker.handle([message], publications)
    assert publications.bodies == [message.body]


# --- the sweep -----------------------------------------------------------------------------------------------


@pytest.fixture
def sweep(database, bucket, publications):
    repository = Repository(SecretStr(database.tracker), "sweep")
    tracker = Tracker(repository, bucket, Watermarks())
    yield Sweep(repository, tracker, bucket, publications, "image_queue", timedelta(minutes=1))
    repository.close()


def grow_old(database):
    database.ask("UPDATE images SET updated_at = updated_at - interval '1 hour', recovered_at = NULL")


def test_the_sweep_announces_what_was_left_lying_once(tracker, sweep, database, bucket, publications):
    tracker.handle([announced()], publications)
    bucket.heads[KEY] = head(**{"file-name": "a.jpg"})
    assert sweep.run() == 0
    grow_old(database)
    before = database.status(ID)
    assert (sweep.run(), sweep.run()) == (1, 0)
    (event,) = parse_storage_events(publications.bodies[0])
    assert (event.key, event.source, event.file_name, event.is_ours) == (KEY, V1, "a.jpg", True)
    assert database.status(ID) == before


def test_the_sweep_leaves_alone_what_the_thumbnailer_acted_upon(tracker, sweep, database, publications):
    keys = [own_key(new_image_id()) for _ in range(3)]
    facts = [saying.processing(key=keys[0]), saying.done(key=keys[1]), saying.failed(key=keys[2])]
    tracker.handle([*(announced(key=key) for key in keys), *map(spoken, facts)], publications)
    tracker.handle([spoken(saying.requested(key="a ticket"))], publications)
    grow_old(database)
    assert sweep.run() == 0


def test_the_sweep_waits_for_a_thumbnailer_that_is_only_late(tracker, sweep, database, publications, monkeypatch):
    tracker.handle([announced()], publications)
    grow_old(database)
    monkeypatch.setattr(publications, "queue_length", lambda _: 1)
    assert sweep.run() == 0


def test_the_sweep_finds_what_vanished(tracker, sweep, database, publications):
    tracker.handle([announced()], publications)
    grow_old(database)
    assert sweep.run() == 1
    assert database.status(ID)["status"] == "DELETED"
    assert parse_storage_events(publications.bodies[0])[0].is_removal
    assert database.timeline(ID)[-1]["recorded_by"] == "sweep"


def test_the_sweep_finds_what_was_replaced(tracker, sweep, database, bucket, publications):
    tracker.handle([announced()], publications)
    bucket.heads[KEY] = head(V2)
    grow_old(database)
    assert sweep.run() == 1
    row = database.status(ID)
    assert (row["status"], row["source"], row["generation"]) == ("PENDING", str(V2), 2)
    assert parse_storage_events(publications.bodies[0])[0].source == V2


def test_the_sweep_has_variants_of_the_deleted_removed(tracker, sweep, database, publications):
    tracker.handle([announced()], publications)
    tracker.handle([withdrawn()], publications)
    grow_old(database)
    assert sweep.run() == 1
    assert parse_storage_events(publications.bodies[0])[0].is_removal
    tracker.handle([spoken(saying.removed())], publications)
    grow_old(database)
    assert sweep.run() == 0


def test_two_sweeps_share_the_work(tracker, repository, database, publications):
    keys = [own_key(new_image_id()) for _ in range(30)]
    tracker.handle([announced(key=key) for key in keys], publications)
    grow_old(database)
    other = Repository(SecretStr(database.tracker), "another sweep")
    age = timedelta(minutes=1)
    with closing(other):
        claimed = [row.key for books in (repository, other) for row in books.claim_overdue(age, 20)]
    assert sorted(claimed) == sorted(keys)


def test_the_sweep_waits_for_nobody(tracker, sweep, database, publications):
    tracker.handle([announced()], publications)
    grow_old(database)
    with closing(psycopg.connect(database.owner)) as writer:
        writer.execute("SELECT FROM images FOR UPDATE")
        assert sweep.run() == 0


# --- how far it has caught up --------------------------------------------------------------------------------


def test_a_mark_says_how_far_everything_is_seen(tracker, database, publications):
    now = datetime.now(UTC)
    tracker.handle([announced(), mark(now)], publications)
    tracker.handle([mark(now - timedelta(seconds=5))], publications)
    assert database.ask("SELECT * FROM tracker_progress", url=database.gateway) == [{"caught_up_to": now}]
    assert [fact["type"] for fact in database.timeline(ID)] == ["storage.ObjectCreated:Put"]


def test_a_mark_from_before_a_fault_says_nothing(tracker, database, bucket, publications):
    early = datetime.now(UTC)
    tracker.handle([announced()], publications)
    bucket.fault = DependencyAway("minio")
    with pytest.raises(DependencyAway):
        tracker.handle([announced(V2)], publications)
    tracker.handle([mark(early)], publications)
    assert database.ask("SELECT caught_up_to = '-infinity' AS never FROM progress") == [{"never": True}]
    late = datetime.now(UTC)
    tracker.handle([mark(late)], publications)
    assert database.ask("SELECT caught_up_to FROM progress") == [{"caught_up_to": late}]


# --- faults --------------------------------------------------------------------------------------------------


def test_a_lost_connection_is_opened_again(tracker, repository, database, publications):
    tracker.handle([announced()], publications)
    database.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")
    with pytest.raises(DependencyAway, match="postgres is away"):
        tracker.handle([spoken(saying.done())], publications)
    repository.ping()
    tracker.handle([spoken(saying.done())], publications)
    assert database.status(ID)["status"] == "DONE"


def test_a_connection_whose_packets_vanish_ends_by_itself(repository):
    with repository.connected() as connection, socket.socket(fileno=os.dup(connection.fileno())) as wire:
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10


def test_no_server_is_away_and_a_refused_login_names_its_variable(database):
    nobody = "postgresql://status_tracker:x@127.0.0.1:1/thumbmill"
    with pytest.raises(DependencyAway) as away:
        Repository(SecretStr(nobody), "test").ping()
    assert not isinstance(away.value, Refused)
    wrong = database.tracker.replace("status_tracker:", "status_tracker:x")
    with pytest.raises(Refused, match="DATABASE_URL"):
        Repository(SecretStr(wrong), "test").ping()
    with pytest.raises(Refused, match="DATABASE_URL"):
        Repository(SecretStr(database.tracker + "_nowhere"), "test").ping()


def test_a_database_that_was_not_migrated_says_what_to_run(empty_database):
    repository = Repository(SecretStr(empty_database.tracker), "test")
    with (
        closing(repository),
        pytest.raises(Refused, match="status-tracker migrate"),
        repository.transaction() as books,
    ):
        books.lock_images([ID])


def test_who_is_second_to_make_a_row_starts_over(bucket, database, repository, publications):
    other = Repository(SecretStr(database.tracker), "other")
    with closing(other):
        second = Tracker(other, bucket, Watermarks())
        with repository.transaction() as books:
            books.write([], [apply(None, saying.put())])
            waiting = Thread(target=second.record, args=([saying.done()],))
            waiting.start()
            wait_until(lambda: _is_blocked(database, "other"), 10, "the second writer to wait for the first")
        waiting.join(10)
    assert database.status(ID)["status"] == "DONE"


def test_a_row_that_moved_on_is_not_overwritten(tracker, database, repository, publications):
    tracker.handle([announced()], publications)
    with repository.transaction() as books:
        stale = books.lock_images([ID])[ID]
    tracker.handle([spoken(saying.processing())], publications)
    with pytest.raises(ConflictError), repository.transaction() as books:
        books.write([], [stale])


def test_a_deadlock_is_tried_again_at_once(tracker, database, publications):
    tracker.handle([announced(), announced(key="another")], publications)
    first, second = sorted([ID, image_id_of("another")])
    tracker_facts = [saying.processing(), saying.processing(key="another")]
    with closing(psycopg.connect(database.owner)) as enemy:
        enemy.execute("SET deadlock_timeout = '10s'")  # so that the tracker is the victim
        enemy.execute("SELECT FROM images WHERE id = %s FOR UPDATE", [second])
        waiting = Thread(target=tracker.record, args=(tracker_facts,))
        waiting.start()
        wait_until(lambda: _is_blocked(database, "test"), 10, "the tracker to wait for the enemy")
        enemy.execute("SELECT FROM images WHERE id = %s FOR UPDATE", [first])  # back when the victim is dead
        enemy.commit()
        waiting.join(20)
    assert {row["status"] for row in database.ask("SELECT status FROM images")} == {"PROCESSING"}


# --- what the database allows and shows ----------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["UPDATE events SET type = 'x'", "DELETE FROM events", "DELETE FROM images"])
def test_facts_are_not_changed_even_by_their_writer(database, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.ask(statement, url=database.tracker)


@pytest.mark.parametrize("statement", ["SELECT * FROM images", "SELECT * FROM events", "DELETE FROM image_status"])
def test_the_gateway_sees_views_and_nothing_else(database, statement):
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
        database.ask(statement, url=database.gateway)


def test_a_ticket_expires_a_minute_after_its_form_and_can_still_be_used(tracker, database, publications):
    now = datetime.now(UTC)
    for age, shown in ((timedelta(seconds=10), "AWAITING_UPLOAD"), (timedelta(minutes=2), "EXPIRED")):
        key = own_key(new_image_id())
        tracker.handle([spoken(saying.requested(key=key, expires_at=now - age))], publications)
        row = database.status(image_id_of(key))
        assert (row["status"], row["stored_status"], row["source"]) == (shown, "AWAITING_UPLOAD", None)
    tracker.handle([announced(key=key)], publications)
    assert database.status(image_id_of(key))["status"] == "PENDING"


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM image_status ORDER BY created_at DESC, id DESC LIMIT 20", "images_newest"),
        (
            "SELECT * FROM image_status WHERE stored_status = 'FAILED' ORDER BY created_at DESC, id DESC LIMIT 20",
            "images_newest_by_status",
        ),
    ],
)
def test_lists_are_read_from_an_index(database, query, index):
    with closing(psycopg.connect(database.owner)) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = json.dumps(connection.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchone()[0])
    assert index in plan
    assert '"Sort"' not in plan


def _is_blocked(database, name):
    return database.ask(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'", [name]
    )
