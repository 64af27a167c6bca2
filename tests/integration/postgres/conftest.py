"""A Postgres with the real roles; every test gets a database of its own, copied from a migrated one."""

import itertools
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from devstack.postgres import database_url
from tests.unit.tracker.event_factory import KEY
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.tracker.db.migrate import migrate
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.retention import RetentionRules
from thumbmill.tracker.watermarks import Watermarks

# Most events of these tests are years old by their dates; none of them may count as purged.
PATIENT = RetentionRules(deleted=timedelta(days=36_500), expired=timedelta(days=36_500))
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Database:
    """URLs of one database by role, and queries as its owner."""

    owner: str
    tracker: str
    gateway: str
    key_keeper: str

    def ask(self, query, values=(), *, url=""):
        with closing(psycopg.connect(url or self.owner, autocommit=True, row_factory=dict_row)) as connection:
            cursor = connection.execute(query, values or None)  # without values, a % is a %
            return cursor.fetchall() if cursor.description else []

    def status(self, image_id):
        rows = self.ask("SELECT * FROM image_status WHERE id = %s", [image_id], url=self.gateway)
        return rows[0] if rows else None

    def timeline(self, image_id):
        query = "SELECT * FROM image_timeline WHERE image_id = %s ORDER BY recorded"
        return self.ask(query, [image_id], url=self.gateway)


@dataclass
class Publications:
    """Stands for a publisher: records what was published."""

    bodies: list
    runs: list = field(default_factory=list)  # of what belongs to one
    events: list = field(default_factory=list)

    def publish(self, exchange, key, body, *, headers):
        assert (exchange, key) == ("storage.events", "republished")
        self.bodies.append(body)
        self.runs += [headers["x-run"]] if headers else []

    def publish_event(self, event):
        self.events.append(event)

    def message_count(self, queue):
        assert queue == "image_queue"
        return 0

    def keep_alive(self):
        pass


class Bucket:
    """Stands for the store: what a HEAD shows, and how many were sent."""

    def __init__(self):
        self.heads = {}
        self.heads_sent = 0
        self.error = None
        self.lost = set()  # keys of variants

    def delete(self, bucket, key):
        assert bucket == "images-original"
        del self.heads[key]

    def head(self, bucket, key):
        if bucket == "images-processed" and key not in self.lost:
            return self.heads[KEY]  # any object version will do
        self.heads_sent += bucket == "images-original"
        if self.error:
            raise self.error
        if key not in self.heads:
            raise ObjectNotFoundError(key)
        return self.heads[key]


def url_of(stack, database, role, secret):
    return (
        database_url(stack.installation, role, stack.installation.secrets[secret]).rsplit("/", 1)[0]
        + f"/{database}"
    )


def create(stack, template="template0"):
    name = f"test_{next(_NUMBERS)}"
    with closing(
        psycopg.connect(url_of(stack, "postgres", "thumbmill", "POSTGRES_PASSWORD"), autocommit=True)
    ) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return Database(
        url_of(stack, name, "thumbmill", "POSTGRES_PASSWORD"),
        url_of(stack, name, "status_tracker", "STATUS_TRACKER_DATABASE_PASSWORD"),
        url_of(stack, name, "gateway", "GATEWAY_DATABASE_PASSWORD"),
        url_of(stack, name, "key_keeper", "KEY_KEEPER_DATABASE_PASSWORD"),
    )


@pytest.fixture
def empty_database(stack):
    return create(stack)


@pytest.fixture(scope="session")
def migrated(stack):
    database = create(stack)
    assert migrate(database.owner)
    return database.owner.rsplit("/", 1)[1]


@pytest.fixture
def database(stack, migrated):
    return create(stack, migrated)


@pytest.fixture
def repository(database):
    repository = Repository(SecretStr(database.tracker), "test")
    yield repository
    repository.close()


@pytest.fixture
def bucket():
    return Bucket()


@pytest.fixture
def publications():
    return Publications([])


@pytest.fixture
def watermarks():
    return Watermarks()


@pytest.fixture
def tracker(repository, bucket, watermarks):
    return Tracker(repository, bucket, watermarks, PATIENT)
