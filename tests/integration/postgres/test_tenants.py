"""The tenant of an image: in its row, its changes and the numbers of images, also once its key is forgotten."""

import uuid
from datetime import timedelta

import pytest

from tests.integration.postgres.messages import lifecycle_message, notification, removal_message
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.tracker.db import migrate as migrations
from thumbmill.tracker.db.migrate import migrate
from thumbmill.tracker.reconciliation.repository import ReconciliationRepository

TENANT = "acme"
FOREIGN_KEY = f"t/{TENANT}/holiday/beach.jpg"


def tenants(database, view="image_status"):
    return {row["tenant"] for row in database.ask(f"SELECT tenant FROM {view}", url=database.gateway)}  # noqa: S608


@pytest.mark.parametrize("key", [upload_key(new_image_id(TENANT), TENANT), FOREIGN_KEY], ids=["api", "s3"])
def test_the_tracker_stores_the_tenant_of_the_key_in_row_and_changes(tracker, database, publications, key):
    tracker.handle([notification(key=key)], publications)
    tracker.handle([lifecycle_message(event_factory.done(key=key))], publications)
    assert [tenants(database), tenants(database, "image_changes")] == [{TENANT}, {TENANT}]
    assert [change["data"]["tenant"] for change in database.ask("SELECT data FROM changes")] == [TENANT] * 2


def test_an_image_of_the_default_tenant_has_an_empty_name(tracker, database, publications):
    tracker.handle([notification(), notification(key="t/Not A Name/x.jpg")], publications)
    assert [tenants(database), tenants(database, "image_changes")] == [{""}, {""}]


def test_a_deleted_image_whose_key_is_forgotten_still_belongs_to_its_tenant(tracker, database, publications):
    tracker.handle([notification(key=FOREIGN_KEY)], publications)
    tracker.handle([removal_message(key=FOREIGN_KEY)], publications)
    tracker.handle([lifecycle_message(event_factory.removed(key=FOREIGN_KEY))], publications)
    row = database.status(image_id_of(FOREIGN_KEY))
    assert (row["key"], row["status"], row["tenant"]) == ("", "DELETED", TENANT)


def test_images_are_counted_by_tenant(tracker, database, publications):
    tracker.handle([notification(), notification(key=FOREIGN_KEY)], publications)
    tracker.handle([removal_message(key=FOREIGN_KEY)], publications)
    totals = "SELECT tenant, status, images FROM image_totals WHERE images <> 0 ORDER BY tenant"
    assert [tuple(row.values()) for row in database.ask(totals, url=database.gateway)] == [
        ("", "PENDING", 1),
        (TENANT, "DELETED", 1),
    ]


def test_stuck_images_are_compared_with_the_newest_processed_image_of_all_tenants(
    tracker, repository, database, publications
):
    """While messages wait, only an image of which the message cannot be among them is stuck."""
    stuck = upload_key(new_image_id())
    tracker.handle([notification(key=stuck)], publications)
    tracker.handle([notification(key=FOREIGN_KEY)], publications)
    tracker.handle([lifecycle_message(event_factory.done(key=FOREIGN_KEY))], publications)
    database.ask("UPDATE images SET updated_at = updated_at - interval '1 hour'")
    database.ask(
        "UPDATE events SET recorded = recorded - interval '2 hours' WHERE image_id = %s", [image_id_of(stuck)]
    )
    database.ask("UPDATE progress SET caught_up_to = clock_timestamp()")
    reconciliation = ReconciliationRepository(repository)
    found = reconciliation.claim_stuck(timedelta(minutes=30), 10, idle=False, delayed=False)
    assert [row.key for row in found] == [stuck]


def test_the_migration_finds_the_tenants_of_images_by_their_keys(empty_database, monkeypatch):
    steps = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: steps[:8])
    migrate(empty_database.owner)
    keys = (FOREIGN_KEY, "t/-no/x.jpg", "t/acme", "x/t/acme/y.jpg", "t/acme/\nb.jpg")
    for seq, key in enumerate(keys, 1):
        image_id = uuid.uuid4()
        empty_database.ask(
            "INSERT INTO images (id, key, status, object_version, generation, run_id, attempts, variants,"
            " variants_removed, created_at, updated_at, version)"
            " VALUES (%s, %s, 'DONE', 'e/1/1', 1, '', 1, '[]', false, now(), now(), 1)",
            [image_id, key],
        )
        empty_database.ask(
            "INSERT INTO changes (seq, image_id, version, generation, type, at, data)"
            " VALUES (%s, %s, 1, 1, 'image.done', now(), '{}')",
            [seq, image_id],
        )
    monkeypatch.setattr(migrations, "migrations", lambda: steps)
    migrate(empty_database.owner)
    rows = empty_database.ask("SELECT key, tenant FROM images")
    assert {row["key"]: row["tenant"] for row in rows} == {
        key: TENANT if key in {FOREIGN_KEY, "t/acme/\nb.jpg"} else "" for key in keys
    }
    changes = empty_database.ask("SELECT tenant FROM changes ORDER BY seq")
    assert [row["tenant"] for row in changes] == [TENANT, "", "", "", TENANT]
    totals = empty_database.ask("SELECT tenant, images FROM image_totals ORDER BY tenant")
    assert [tuple(row.values()) for row in totals] == [("", 3), (TENANT, 2)]
