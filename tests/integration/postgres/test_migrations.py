"""The schema: reached by migrations, equal to the snapshot people read, checked when the tracker starts."""

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from thumbmill.core.errors import DependencyRejected
from thumbmill.tracker.db import migrate as migrations
from thumbmill.tracker.db.migrate import check_version, migrate
from thumbmill.tracker.timeline import RETAINED_DATA

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
    UNION ALL
    SELECT 'grant', table_name || ' to ' || grantee, string_agg(privilege_type, ' ' ORDER BY privilege_type)
    FROM information_schema.table_privileges WHERE table_schema = 'public' GROUP BY 1, 2
    ORDER BY 1, 2, 3
"""


def test_the_snapshot_is_where_the_migrations_lead(empty_database, database):
    empty_database.ask(SNAPSHOT.read_text())
    assert empty_database.ask(_CATALOGUE) == database.ask(_CATALOGUE)
    progress = "SELECT caught_up_to::text FROM progress"
    assert empty_database.ask(progress) == database.ask(progress)


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


def test_what_was_deleted_under_an_older_schema_forgets_the_file(empty_database, monkeypatch):
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
    told = {status: repr((empty_database.status(i), empty_database.timeline(i))) for status, i in ids.items()}
    assert "jane" not in told["DELETED"]
    assert "camera" not in told["DELETED"]
    assert "'attempt': 1" in told["DELETED"]
    assert told["DONE"].count("jane") == 3


def test_the_migration_keeps_of_facts_what_the_tracker_keeps():
    [sql] = [step.sql for step in migrations.migrations() if step.number == 4]
    named = sql.partition("WHERE name IN (")[2].partition(")")[0]
    assert set(re.findall(r"'(\w+)'", named)) == RETAINED_DATA


def test_two_at_once_apply_each_step_once(empty_database):
    with ThreadPoolExecutor() as pool:
        applied = list(pool.map(migrate, [empty_database.owner] * 4))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations.migrations())]


def test_the_tracker_refuses_an_older_schema_and_says_what_to_run(empty_database):
    with pytest.raises(DependencyRejected, match="run `status-tracker migrate`"):
        check_version(empty_database.tracker)


def test_the_tracker_refuses_a_newer_schema(database):
    database.ask("INSERT INTO schema_migrations (number, name) VALUES (9999, 'from the future')")
    with pytest.raises(DependencyRejected, match="9999"):
        check_version(database.tracker)


def test_missing_roles_are_named(empty_database, monkeypatch):
    monkeypatch.setattr(migrations, "ROLES", ("gateway", "nobody_made_me"))
    with pytest.raises(DependencyRejected, match=r"no role nobody_made_me: run infra/postgres/roles\.sh"):
        migrate(empty_database.owner)


def test_only_the_owner_migrates(empty_database):
    with pytest.raises(DependencyRejected, match="MIGRATION_DATABASE_URL"):
        migrate(empty_database.tracker)
    with pytest.raises(DependencyRejected, match="MIGRATION_DATABASE_URL"):
        migrate(empty_database.owner.replace("thumbmill:", "thumbmill:x"))
