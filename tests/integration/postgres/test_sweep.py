"""The sweep republishes events of unprocessed images, once."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from pydantic import SecretStr

from tests.integration.postgres.conftest import PATIENT
from tests.integration.postgres.messages import (
    ID,
    head,
    lifecycle_message,
    notification,
    record_processed_images,
    removal_message,
)
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY, V1, V2
from thumbmill.core.contracts.base import EventType
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.contracts.senders import TRACKER
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import LIFECYCLE
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.sweep import Sweep
from thumbmill.tracker.watermarks import Watermarks


@pytest.fixture
def sweep(database, bucket, publications):
    repository = Repository(SecretStr(database.tracker), "sweep")
    tracker = Tracker(repository, bucket, Watermarks(), PATIENT)
    yield Sweep(repository, tracker, bucket, publications, "image_queue", timedelta(minutes=1))
    repository.close()


def grow_old(database):
    database.ask("UPDATE images SET updated_at = updated_at - interval '1 hour', republished_at = NULL")


def test_the_sweep_republishes_unprocessed_images_once(tracker, sweep, database, bucket, publications):
    tracker.handle([notification()], publications)
    bucket.heads[KEY] = head(**{"file-name": "a.jpg"})
    assert sweep.run() == 0
    grow_old(database)
    before = database.status(ID)
    assert (sweep.run(), sweep.run()) == (1, 0)
    (event,) = parse_storage_events(publications.bodies[0])
    assert (event.key, event.object_version, event.file_name, event.is_about_original) == (KEY, V1, "a.jpg", True)
    assert database.status(ID) == before


def test_the_sweep_leaves_processed_images_alone(tracker, sweep, database, publications):
    record_processed_images(tracker, publications)
    tracker.handle([lifecycle_message(event_factory.requested(key="a ticket"))], publications)
    grow_old(database)
    assert sweep.run() == 0


def test_the_sweep_waits_for_a_thumbnailer_that_is_only_late(tracker, sweep, database, publications, monkeypatch):
    tracker.handle([notification()], publications)
    grow_old(database)
    monkeypatch.setattr(publications, "message_count", lambda _: 1)
    assert sweep.run() == 0


def test_the_sweep_finds_a_missing_object(tracker, sweep, database, publications):
    tracker.handle([notification()], publications)
    grow_old(database)
    assert sweep.run() == 1
    assert database.status(ID)["status"] == "DELETED"
    assert parse_storage_events(publications.bodies[0])[0].is_removal
    assert database.timeline(ID)[-1]["recorded_by"] == "sweep"


def test_the_sweep_finds_a_replaced_object(tracker, sweep, database, bucket, publications):
    tracker.handle([notification()], publications)
    bucket.heads[KEY] = head(V2)
    grow_old(database)
    assert sweep.run() == 1
    row = database.status(ID)
    assert (row["status"], row["object_version"], row["generation"]) == ("PENDING", str(V2), 2)
    assert parse_storage_events(publications.bodies[0])[0].object_version == V2


def test_the_sweep_has_variants_of_deleted_images_removed(tracker, sweep, database, publications):
    tracker.handle([notification()], publications)
    tracker.handle([removal_message()], publications)
    grow_old(database)
    assert sweep.run() == 1
    assert parse_storage_events(publications.bodies[0])[0].is_removal
    tracker.handle([lifecycle_message(event_factory.removed())], publications)
    grow_old(database)
    assert sweep.run() == 0


def test_the_sweep_publishes_that_a_form_expired_unused(tracker, sweep, database, publications):
    now = datetime.now(UTC)
    ages = {upload_key(new_image_id()): age for age in (timedelta(seconds=50), timedelta(minutes=2))}
    for key, age in ages.items():
        tracker.handle([lifecycle_message(event_factory.requested(key=key, expires_at=now - age))], publications)
    fresh, over = (image_id_of(key) for key in ages)
    sweep.run()
    sweep.run()
    [event] = publications.events
    assert (event.type, event.image_id) == (EventType.EXPIRED, over)

    message = Message(event.to_json(), event.type, CONTENT_TYPE, exchange=LIFECYCLE, sender=TRACKER)
    tracker.handle([message, message], publications)
    assert [database.status(image_id)["stored_status"] for image_id in (fresh, over)] == [
        "AWAITING_UPLOAD",
        "EXPIRED",
    ]
    assert [entry["type"] for entry in database.timeline(over)] == ["upload.requested", "upload.expired"]
    changes = database.ask("SELECT type, data ->> 'status' AS status FROM changes WHERE image_id = %s", [over])
    assert changes[1:] == [{"type": "image.expired", "status": "EXPIRED"}]
    grow_old(database)
    sweep.run()
    assert publications.events == [event]

    tracker.handle([notification(key=upload_key(over))], publications)  # accepted in the form's last moment
    assert database.status(over)["status"] == "PENDING"
    tracker.handle([message], publications)
    assert database.status(over)["status"] == "PENDING"


def test_two_sweeps_share_the_work(tracker, repository, database, publications):
    keys = [upload_key(new_image_id()) for _ in range(30)]
    tracker.handle([notification(key=key) for key in keys], publications)
    grow_old(database)
    other = Repository(SecretStr(database.tracker), "another sweep")
    age = timedelta(minutes=1)
    with closing(other):
        claimed = [row.key for unit_of_work in (repository, other) for row in unit_of_work.claim_overdue(age, 20)]
    assert sorted(claimed) == sorted(keys)


def test_the_sweep_skips_locked_rows(tracker, sweep, database, publications):
    tracker.handle([notification()], publications)
    grow_old(database)
    with closing(psycopg.connect(database.owner)) as writer:
        writer.execute("SELECT FROM images FOR UPDATE")
        assert sweep.run() == 0
