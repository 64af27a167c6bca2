"""A reader that continues after the last seq it saw misses no change, with any number of writers at once."""

import random
from contextlib import closing, suppress
from datetime import timedelta
from threading import Event, Thread

import psycopg
import pytest
from pydantic import SecretStr

from tests.integration.postgres.conftest import PATIENT, Publications
from tests.integration.postgres.messages import head
from tests.support.waiting import wait_until
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import V1, V2
from thumbmill.core.contracts.identity import new_image_id, upload_key
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.tracker.db.connection import ConflictError
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.follow_ups import make_drift_event
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.reconciliation.drift import DriftKind
from thumbmill.tracker.sweep import Sweep
from thumbmill.tracker.watermarks import Watermarks

WRITERS, IMAGES, BATCH = 4, 40, 12
# What the view has besides, or what may have changed since without being shown.
HIDDEN = ["stored_status", "run_id", "version", "updated_at"]
MAKERS = [event_factory.put, event_factory.processing, event_factory.done, event_factory.failed]


class FlickeringBucket:
    """Shows another object, or none, at each HEAD, so that rows change all the time."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def head(self, _, key):
        found = self.random.choice([None, V1, V2])
        if found is None:
            raise ObjectNotFoundError(key)
        return head(found)


class Reader(Thread):
    """Reads the feed as a gateway does, and keeps what it sees."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.is_complete, self.seen = url, Event(), []

    def run(self):
        query = "SELECT seq, image_id, version FROM image_changes WHERE seq > %s ORDER BY seq LIMIT 100"
        with closing(psycopg.connect(self.url, autocommit=True)) as connection:
            page = [None]
            while page or not self.is_complete.is_set():
                page = connection.execute(query, [self.seen[-1][0] if self.seen else 0]).fetchall()
                self.seen += page


class Writer(Thread):
    """Repeats an action with a connection of its own until it is stopped; redoes what conflicts with others."""

    def __init__(self, url, seed, action, keys):
        super().__init__(daemon=True)
        self.repository = Repository(SecretStr(url), f"writer {seed}")
        self.bucket = FlickeringBucket(seed)
        self.tracker = Tracker(self.repository, self.bucket, Watermarks(), PATIENT)
        self.random, self.action, self.keys = random.Random(seed), action, keys
        self.is_over, self.ended_well = Event(), False

    def run(self):
        with closing(self.repository):
            while not self.is_over.is_set():
                with suppress(ConflictError):
                    self.action(self)
        self.ended_well = True


def write(writer):
    version = writer.random.choice([V1, V2])
    chosen = writer.random.choices(writer.keys, k=BATCH)
    writer.tracker.record([writer.random.choice(MAKERS)(version, key=key) for key in chosen])


def reconcile(writer):
    key = writer.random.choice(writer.keys)
    missed = make_drift_event(DriftKind.MISSED, key, V1, by="reconciler")
    writer.tracker.record([event_factory.put(key=key, target="reconciler"), missed])


def sweep(writer):
    Sweep(writer.repository, writer.tracker, writer.bucket, Publications([]), "image_queue", timedelta(0)).run()


@pytest.mark.parametrize("wanted", [500, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_reader_misses_no_change_of_several_writers(database, wanted):
    keys = [upload_key(new_image_id()) for _ in range(IMAGES)]
    readers = [Reader(database.gateway) for _ in range(2)]
    actions = [write] * WRITERS + [reconcile, sweep]
    writers = [Writer(database.tracker, seed, action, keys) for seed, action in enumerate(actions)]
    for thread in (*readers, *writers):
        thread.start()
    wait_until(lambda: len(readers[0].seen) >= wanted, 600, f"{wanted} changes")
    for writer in writers:
        writer.is_over.set()
        writer.join(60)
    assert all(writer.ended_well for writer in writers)
    for reader in readers:
        reader.is_complete.set()
        reader.join(60)

    written = database.ask("SELECT seq, image_id, version FROM changes ORDER BY seq")
    assert len(written) >= wanted
    assert [change["seq"] for change in written] == list(range(1, len(written) + 1))
    for reader in readers:
        assert reader.seen == [tuple(change.values()) for change in written]
    versions = {}
    for change in written:
        assert change["version"] > versions.get(change["image_id"], 0)
        versions[change["image_id"]] = change["version"]


def test_the_last_change_of_an_image_is_what_it_shows(database):
    writer = Writer(database.tracker, 0, write, [upload_key(new_image_id()) for _ in range(IMAGES)])
    with closing(writer.repository):
        for _ in range(50):
            write(writer)
    latest = (
        "SELECT DISTINCT ON (image_id) data - %s::text[] AS data FROM image_changes ORDER BY image_id, seq DESC"
    )
    shown = "SELECT to_jsonb(image_status) - %s::text[] AS data FROM image_status ORDER BY id"
    assert database.ask(latest, [HIDDEN]) == database.ask(shown, [HIDDEN])
