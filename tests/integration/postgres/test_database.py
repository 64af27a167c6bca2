"""What remains after an error of the database, and what each role may read and write."""

import json
import os
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Thread

import psycopg
import pytest
from pydantic import SecretStr

from tests.integration.postgres.conftest import PATIENT
from tests.integration.postgres.messages import ID, lifecycle_message, notification
from tests.support.waiting import wait_until
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.tracker.db.connection import ConflictError
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.projection import apply
from thumbmill.tracker.watermarks import Watermarks

# --- errors --------------------------------------------------------------------------------------------------


def test_a_lost_connection_is_opened_again(tracker, repository, database, publications):
    tracker.handle([notification()], publications)
    database.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")
    with pytest.raises(DependencyUnavailable, match="postgres is unavailable"):
        tracker.handle([lifecycle_message(event_factory.done())], publications)
    repository.ping()
    tracker.handle([lifecycle_message(event_factory.done())], publications)
    assert database.status(ID)["status"] == "DONE"


def test_a_connection_with_lost_packets_times_out(repository):
    with repository.connected() as connection, socket.socket(fileno=os.dup(connection.fileno())) as wire:
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10


def test_no_server_is_unavailable_and_a_rejected_login_names_its_variable(database):
    no_server = "postgresql://status_tracker:x@127.0.0.1:1/thumbmill"
    with pytest.raises(DependencyUnavailable) as caught:
        Repository(SecretStr(no_server), "test").ping()
    assert not isinstance(caught.value, DependencyRejected)
    wrong = database.tracker.replace("status_tracker:", "status_tracker:x")
    with pytest.raises(DependencyRejected, match="DATABASE_URL"):
        Repository(SecretStr(wrong), "test").ping()
    with pytest.raises(DependencyRejected, match="DATABASE_URL"):
        Repository(SecretStr(database.tracker + "_nowhere"), "test").ping()


def test_an_unmigrated_database_is_reported_with_the_command_to_run(empty_database):
    repository = Repository(SecretStr(empty_database.tracker), "test")
    with (
        closing(repository),
        pytest.raises(DependencyRejected, match="status-tracker migrate"),
        repository.transaction() as unit_of_work,
    ):
        unit_of_work.lock_images([ID])


def test_the_second_writer_of_a_new_row_starts_over(bucket, database, repository, publications):
    other = Repository(SecretStr(database.tracker), "other")
    with closing(other):
        second = Tracker(other, bucket, Watermarks(), PATIENT)
        with repository.transaction() as unit_of_work:
            unit_of_work.write([], [apply(None, event_factory.put())])
            waiting = Thread(target=second.record, args=([event_factory.done()],))
            waiting.start()
            wait_until(lambda: _is_blocked(database, "other"), 10, "the second writer to wait for the first")
        waiting.join(10)
    assert database.status(ID)["status"] == "DONE"


def test_a_row_that_changed_meanwhile_is_not_overwritten(tracker, database, repository, publications):
    tracker.handle([notification()], publications)
    with repository.transaction() as unit_of_work:
        stale = unit_of_work.lock_images([ID])[ID]
    tracker.handle([lifecycle_message(event_factory.processing())], publications)
    with pytest.raises(ConflictError), repository.transaction() as unit_of_work:
        unit_of_work.write([], [stale])


def test_a_deadlock_is_retried_at_once(tracker, database, publications):
    tracker.handle([notification(), notification(key="another")], publications)
    first, second = sorted([ID, image_id_of("another")])
    tracker_facts = [event_factory.processing(), event_factory.processing(key="another")]
    with closing(psycopg.connect(database.owner)) as other:
        other.execute("SET deadlock_timeout = '10s'")  # so that the tracker is the victim
        other.execute("SELECT FROM images WHERE id = %s FOR UPDATE", [second])
        waiting = Thread(target=tracker.record, args=(tracker_facts,))
        waiting.start()
        wait_until(lambda: _is_blocked(database, "test"), 10, "the tracker to wait for the other")
        other.execute("SELECT FROM images WHERE id = %s FOR UPDATE", [first])  # returns once the victim is aborted
        other.commit()
        waiting.join(20)
    assert {row["status"] for row in database.ask("SELECT status FROM images")} == {"PROCESSING"}


# --- what the database allows and shows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET type = 'x'", "UPDATE events SET object_version = 'x'", "TRUNCATE events"]
)
def test_the_tracker_cannot_change_events(database, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.ask(statement, url=database.tracker)


@pytest.mark.parametrize("statement", ["SELECT * FROM images", "SELECT * FROM events", "DELETE FROM image_status"])
def test_the_gateway_reads_views_and_nothing_else(database, statement):
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
        database.ask(statement, url=database.gateway)


def test_a_ticket_expires_a_minute_after_its_form_and_can_still_be_used(tracker, database, publications):
    now = datetime.now(UTC)
    for age, shown in ((timedelta(seconds=10), "AWAITING_UPLOAD"), (timedelta(minutes=2), "EXPIRED")):
        key = upload_key(new_image_id())
        tracker.handle([lifecycle_message(event_factory.requested(key=key, expires_at=now - age))], publications)
        row = database.status(image_id_of(key))
        assert (row["status"], row["stored_status"], row["object_version"]) == (shown, "AWAITING_UPLOAD", None)
    tracker.handle([notification(key=key)], publications)
    assert database.status(image_id_of(key))["status"] == "PENDING"


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("tenant = 'acme'", "images_newest"),
        ("tenant = 'acme' AND stored_status = 'FAILED'", "images_newest_by_status"),
        ("tenant = 'acme' AND batch = 'album'", "images_of_batch"),
    ],
)
def test_lists_are_read_from_an_index(database, condition, index):
    query = f"SELECT * FROM image_status WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT 20"  # noqa: S608
    with closing(psycopg.connect(database.owner)) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = json.dumps(connection.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchone()[0])
    assert index in plan
    assert '"Sort"' not in plan


def _is_blocked(database, name):
    return database.ask(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'", [name]
    )
