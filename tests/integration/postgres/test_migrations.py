"""The schema: reached by migrations, equal to the snapshot people read, checked when the tracker starts."""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.postgres.conftest import PATIENT
from tests.integration.postgres.messages import head, notification
from tests.unit.tracker.event_factory import KEY, NOON, V1, V2
from thumbmill.core.contracts.identity import image_id_of
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import DependencyRejected
from thumbmill.tracker.db import migrate as migrations
from thumbmill.tracker.db.migrate import check_version, migrate
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.on_demand.repository import RequestRepository
from thumbmill.tracker.on_demand.request import RequestKind
from thumbmill.tracker.timeline import RETAINED_DATA
from thumbmill.tracker.watermarks import Watermarks

ID = uuid.UUID("01a2019e-dd49-7c49-9ece-607b56bd764f")
SNAPSHOT = Path(__file__).parents[3] / "status-tracker/src/thumbmill/tracker/db/sql/schema.sql"
_CATALOGUE = """
    SELECT 'column' AS kind, table_name || '.' || column_name AS name,
        concat_ws(' ', data_type, is_nullable, column_default, ordinal_position) AS what
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
    UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'function', proname, pg_get_functiondef(oid) || coalesce(proacl::text, '')
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'grant', table_name || ' to ' || grantee, string_agg(privilege_type, ' ' ORDER BY privilege_type)
    FROM information_schema.table_privileges WHERE table_schema = 'public' GROUP BY 1, 2
    ORDER BY 1, 2, 3
"""


def test_the_snapshot_equals_the_migrated_schema(empty_database, database):
    empty_database.ask(SNAPSHOT.read_text())
    assert empty_database.ask(_CATALOGUE) == database.ask(_CATALOGUE)
    progress = "SELECT caught_up_to::text FROM progress"
    assert empty_database.ask(progress) == database.ask(progress)


def test_the_timeline_of_an_older_schema_stays_in_the_first_partition(
    empty_database, monkeypatch, bucket, publications
):
    steps = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: steps[:7])
    migrate(empty_database.owner)
    message, later = notification(), datetime.now(UTC) + timedelta(days=60)  # a clock was ahead
    stored = [(parse_storage_events(message.body)[0].identity("immediate"), NOON), (uuid.uuid4(), later)]
    for event_id, occurred in stored:
        empty_database.ask(
            "INSERT INTO events (id, image_id, type, occurred, recorded_by, data)"
            " VALUES (%s, %s, 'storage.ObjectCreated:Put', %s, 'immediate', '{}')",
            [event_id, image_id_of(KEY), occurred],
        )
    monkeypatch.setattr(migrations, "migrations", lambda: steps)
    migrate(empty_database.owner)
    [partition] = empty_database.ask("SELECT name, upto FROM event_partitions WHERE upto IS NOT NULL")
    assert (partition["name"], partition["upto"] > later) == ("events_first", True)
    repository = Repository(SecretStr(empty_database.tracker), "test")
    with closing(repository):
        Tracker(repository, bucket, Watermarks(), PATIENT).handle([message], publications)
    assert [event["id"] for event in empty_database.timeline(image_id_of(KEY))] == [name for name, _ in stored]


def test_numbers_have_no_gap():
    steps = migrations.migrations()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))


def test_a_second_run_does_nothing(database):
    assert migrate(database.owner) == []
    check_version(database.tracker)


def test_images_of_an_older_schema_stay_and_are_shown(empty_database, monkeypatch):
    steps = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: steps[:1])
    migrate(empty_database.owner)
    empty_database.ask(
        "INSERT INTO images (id, key, status, source, generation, run, attempts, variants, variants_removed,"
        " created_at, updated_at, version)"
        " VALUES (%s, 'a', 'DONE', 'e/1/1', 1, '', 1, '[]', false, now(), now(), 1)",
        [ID],
    )
    monkeypatch.setattr(migrations, "migrations", lambda: steps)
    assert migrate(empty_database.owner) == [step.name for step in steps[1:]]
    row = empty_database.status(ID)
    assert (row["status"], row["details"], row["damaged"]) == ("DONE", None, False)


def test_images_deleted_under_an_older_schema_retain_nothing_of_the_file(empty_database, monkeypatch):
    steps = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: steps[:3])
    migrate(empty_database.owner)
    ids = {status: uuid.uuid4() for status in ("DELETED", "DONE")}
    for status, image_id in ids.items():
        empty_database.ask(
            "INSERT INTO images (id, key, file_name, content_type, status, source, generation, run, attempts,"
            " variants, variants_removed, created_at, updated_at, version)"
            " VALUES (%s, 'jane/doe.jpg', 'jane.jpg', 'image/jpeg', %s, 'e/1/1', 1, '', 1, '[]', true, now(),"
            " now(), 1)",
            [image_id, status],
        )
        empty_database.ask(
            "INSERT INTO events (id, image_id, type, occurred, recorded_by, data)"
            " VALUES (%s, %s, 'image.done', now(), '/thumbnailer', %s)",
            [
                uuid.uuid4(),
                image_id,
                '{"file_name": "jane.jpg", "details": {"camera": "x"}, "attempt": 1}',
            ],
        )
    monkeypatch.setattr(migrations, "migrations", lambda: steps)
    migrate(empty_database.owner)
    texts = {status: repr((empty_database.status(i), empty_database.timeline(i))) for status, i in ids.items()}
    assert "jane" not in texts["DELETED"]
    assert "camera" not in texts["DELETED"]
    assert "'attempt': 1" in texts["DELETED"]
    assert texts["DONE"].count("jane") == 3


def test_a_deleted_image_retains_what_the_migration_keeps():
    [sql] = [step.sql for step in migrations.migrations() if step.number == 4]
    names = set(re.findall(r"'(\w+)'", sql.partition("WHERE name IN (")[2].partition(")")[0]))
    renamed = {"run": "run_id", "what": "drift"}  # by migration 5
    assert {renamed.get(name, name) for name in names} == RETAINED_DATA


# Events as version 4 stored them: type, source, who recorded it, data; and what version 5 makes of them.
STORED_EVENTS = [
    (
        ("storage.ObjectCreated:Put", "instant", {"sequencer": "1"}),
        ("storage.ObjectCreated:Put", "immediate", {"sequencer": "1"}),
    ),
    (
        ("storage.ObjectCreated:Put", "ledger", {"sequencer": "1"}),
        ("storage.ObjectCreated:Put", "durable", {"sequencer": "1"}),
    ),
    (
        ("image.done", "/thumbnailer", {"run": "", "attempt": 1, "sha256": "ab"}),
        ("image.done", "/thumbnailer", {"run_id": "", "attempt": 1, "sha256": "ab"}),
    ),
    (
        ("image.retry_requested", "/gateway", {"run": "2027", "after": "2026", "forced": False}),
        ("image.retry_requested", "/gateway", {"run_id": "2027", "after": "2026", "forced": False}),
    ),
    (
        ("tracker.healed", "/reconciler", {"run": "2026", "what": "variants_gone", "gone": ["a"]}),
        ("tracker.repaired", "/reconciler", {"run_id": "2026", "drift": "missing_variants", "missing": ["a"]}),
    ),
    (
        ("tracker.healed", "/reconciler", {"run": "2026", "what": "missed", "gone": []}),
        ("tracker.repaired", "/reconciler", {"run_id": "2026", "drift": "missed", "missing": []}),
    ),
    (("tracker.withdrawn", "/tracker", {}), ("tracker.rejected", "/tracker", {})),
    (
        ("image.redriven", "/cli", {"run": "2026", "operator": "ada", "queue": "image_queue", "code": "x"}),
        ("image.redriven", "/cli", {"run_id": "2026", "operator": "ada", "queue": "image_queue", "code": "x"}),
    ),
]


def test_a_database_of_version_4_migrates_and_serves(empty_database, monkeypatch, bucket, publications):
    steps = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: steps[:4])
    migrate(empty_database.owner)
    empty_database.ask(
        "INSERT INTO images (id, key, status, source, size, generation, run, attempts, variants, variants_removed,"
        " form, withdrawn, recovered_at, created_at, updated_at, version)"
        " VALUES (%s, %s, 'DONE', %s, 1000, 2, '2026', 1, '[]', false, 'e/1/ab', 'f/2/2', now(), now(), now(), 7)",
        [image_id_of(KEY), KEY, str(V1)],
    )
    for type_, recorded_by, data in (before for before, _ in STORED_EVENTS):
        empty_database.ask(
            "INSERT INTO events (id, image_id, type, source, occurred, recorded_by, data)"
            " VALUES (%s, %s, %s, %s, now(), %s, %s)",
            [uuid.uuid4(), image_id_of(KEY), type_, str(V1), recorded_by, json.dumps(data)],
        )
    monkeypatch.setattr(migrations, "migrations", lambda: steps)
    assert migrate(empty_database.owner) == [step.name for step in steps[4:]]
    check_version(empty_database.tracker)

    row = empty_database.status(image_id_of(KEY))  # as the gateway reads it
    shown = (row["status"], row["object_version"], row["run_id"], row["generation"])
    assert shown == ("DONE", str(V1), "2026", 2)
    timeline = empty_database.timeline(image_id_of(KEY))
    assert [(event["type"], event["recorded_by"], event["data"]) for event in timeline] == [
        after for _, after in STORED_EVENTS
    ]
    assert {event["object_version"] for event in timeline} == {str(V1)}

    with closing(Repository(SecretStr(empty_database.tracker), "test")) as repository:
        with repository.transaction() as unit_of_work:
            [record] = unit_of_work.lock_images([image_id_of(KEY)]).values()
        assert (record.presigned_upload, str(record.rejected_version)) == ("e/1/ab", "f/2/2")
        bucket.heads[KEY] = head(V2)
        tracker = Tracker(repository, bucket, Watermarks(), PATIENT)
        tracker.handle([notification(V2)], publications)
        assert RequestRepository(repository).start_next(RequestKind.RETRY) is None
        assert repository.claim_overdue(timedelta(minutes=1), 10) == []
    row = empty_database.status(image_id_of(KEY))
    assert (row["status"], row["object_version"], row["generation"]) == ("PENDING", str(V2), 3)


def test_concurrent_migrations_apply_each_step_once(empty_database):
    with ThreadPoolExecutor() as pool:
        applied = list(pool.map(migrate, [empty_database.owner] * 4))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations.migrations())]


def test_the_tracker_rejects_an_older_schema_and_names_the_command(empty_database):
    with pytest.raises(DependencyRejected, match="run `status-tracker migrate`"):
        check_version(empty_database.tracker)


def test_the_tracker_rejects_a_newer_schema(database):
    database.ask("INSERT INTO schema_migrations (number, name) VALUES (9999, 'from the future')")
    with pytest.raises(DependencyRejected, match="9999"):
        check_version(database.tracker)


def test_missing_roles_are_named(empty_database, monkeypatch):
    monkeypatch.setattr(migrations, "ROLES", ("gateway", "nobody_made_me"))
    with pytest.raises(
        DependencyRejected, match=r"role nobody_made_me does not exist: run infra/postgres/roles\.sh"
    ):
        migrate(empty_database.owner)


def test_only_the_owner_migrates(empty_database):
    with pytest.raises(DependencyRejected, match="MIGRATION_DATABASE_URL"):
        migrate(empty_database.tracker)
    with pytest.raises(DependencyRejected, match="MIGRATION_DATABASE_URL"):
        migrate(empty_database.owner.replace("thumbmill:", "thumbmill:x"))
