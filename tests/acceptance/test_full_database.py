"""Postgres with a full disk: messages wait until it has space, and none is dead-lettered."""

from contextlib import contextmanager

import psycopg

from tests.support.outage_uploads import all_done_after, put_many
from tests.support.waiting import wait_until

# Postgres's error (53100) when a table or an index cannot grow; a full disk under its log makes it crash instead.
FULL = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'could not extend file: no space left' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON events EXECUTE FUNCTION refuse();
    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON images EXECUTE FUNCTION refuse();
"""
RELEASED = 'thumbmill_deliveries_total{action="requeue",queue="status_tracker"}'


@contextmanager
def full_disk(system):
    """Make the database reject all rows for a while."""
    with psycopg.connect(system.stack.endpoints.database(), autocommit=True) as owner:
        owner.execute(FULL)
        try:
            yield
        finally:
            owner.execute("DROP FUNCTION refuse CASCADE")


def test_a_full_database_disk_only_delays(system):
    with all_done_after(system) as keys:
        before = system.metric("STATUS_TRACKER_HEALTH_PORT", RELEASED)
        with full_disk(system):
            keys.extend(put_many(system, "full"))
            wait_until(
                lambda: system.metric("STATUS_TRACKER_HEALTH_PORT", RELEASED) >= before + 2, what="two tries"
            )
            assert {system.image_of(key)["status"] for key in keys} == {"PENDING"}
            assert system.message_count("status_tracker.dead") == 0
