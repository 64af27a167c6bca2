"""The timeline's partitions: made ahead, dropped as a whole, and each event in one of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest

from tests.integration.postgres.messages import ID, lifecycle_message, notification
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.cloud_event import parse_lifecycle_event
from thumbmill.core.contracts.identity import image_id_of
from thumbmill.tracker.retention import Retention, RetentionRules

KEEP = timedelta(days=40)


def run(repository, keep=KEEP):
    return Retention(repository, RetentionRules(events=keep)).run(Event())


def partitions(database):
    return {row["name"]: row["upto"] for row in database.ask("SELECT * FROM event_partitions")}


def end_first_partition(database, at):
    """Let the first partition end at a time, as if the migration had run before it."""
    database.ask("ALTER TABLE events DETACH PARTITION events_first")
    database.ask(f"ALTER TABLE events ATTACH PARTITION events_first FOR VALUES FROM (MINVALUE) TO ('{at}')")


def redated(event, time):
    """Return the message of an event that was published at this time."""
    body = parse_lifecycle_event(event.body).model_copy(update={"time": time}).to_json()
    return lifecycle_message(replace(event, body=body))


def stored_in(database):
    rows = database.ask("SELECT tableoid::regclass::text AS name FROM events ORDER BY occurred")
    return [row["name"] for row in rows]


def test_partitions_have_a_month_each_and_with_a_retention_a_day(database, repository):
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end_first_partition(database, today - timedelta(days=100))
    run(repository, keep=None)
    months = sorted(partitions(database).keys() - {"events_first", "events_default"})
    assert months[0] == f"events_{today:%Y_%m_01}", "the gap before this month has none"
    assert months == sorted({f"events_{today + timedelta(days=number):%Y_%m_01}" for number in range(4)})
    for name in months:
        database.ask(f"DROP TABLE {name}")
    run(repository)
    run(repository)
    days = [today + timedelta(days=number) for number in range(4)]
    made = {name: upto for name, upto in partitions(database).items() if name.count("_") == 3}
    assert made == {f"events_{day:%Y_%m_%d}": day + timedelta(days=1) for day in days}


def test_old_partitions_are_dropped_and_nothing_is_refused(tracker, database, repository, publications):
    now = datetime.now(UTC)
    end_first_partition(database, now - KEEP - timedelta(days=1))
    tracker.handle([notification()], publications)  # years ago
    moments = [now - KEEP - timedelta(hours=1), now - timedelta(days=10), now]
    for number, moment in enumerate(moments):
        tracker.handle([redated(event_factory.processing(attempt=number + 1), moment)], publications)
    assert stored_in(database) == ["events_first", *["events_default"] * 3]
    run(repository)
    assert stored_in(database) == ["events_default", f"events_{now:%Y_%m_%d}"], "today's have moved"
    assert len(database.timeline(ID)) == 2
    assert database.status(ID)["attempts"] == 3, "the row does not depend on the timeline"


def test_an_event_that_comes_again_with_another_time_is_known(tracker, database, repository, publications):
    today = datetime.now(UTC)
    yesterday = today - timedelta(days=1)
    end_first_partition(database, f"{today:%Y-%m-%d} 00:00:00+00")
    run(repository)
    tracker.handle([notification()], publications)
    makers = (event_factory.processing, event_factory.done, event_factory.redriven)
    for make in makers:
        tracker.handle([redated(make(), yesterday)], publications)
        tracker.handle([redated(make(), today)], publications)
        tracker.handle([redated(make(), yesterday), redated(make(), today)], publications)
    assert [event["type"] for event in database.timeline(ID)][1:] == [make().type for make in makers]
    other = event_factory.processing(key="another")
    tracker.handle([redated(other, yesterday), redated(other, today)], publications)
    assert len(database.timeline(image_id_of("another"))) == 1


def test_without_a_retention_no_event_is_dropped(tracker, database, repository, publications):
    tracker.handle([notification(), lifecycle_message(event_factory.done())], publications)
    run(repository, keep=None)
    assert len(database.timeline(ID)) == 2
    assert "events_first" in partitions(database)


@pytest.mark.parametrize("call", ["make_event_partitions('day', '1 day')", "drop_event_partitions(now())"])
def test_the_gateway_cannot_change_partitions(database, call):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.ask(f"SELECT {call}", url=database.gateway)


def test_the_tracker_cannot_reach_a_partition_directly(database):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.ask("DELETE FROM events_first", url=database.tracker)
