"""MinIO, Postgres and RabbitMQ without the services: drift is made by hand, and nothing else repairs it."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from devstack.postgres import database_url
from tests.support.stack import run_stack
from tests.support.system import System
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.events import Done, Variant
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET, image_id_of, variant_key
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.db.migrate import migrate
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.on_demand.repository import RequestRepository
from thumbmill.tracker.on_demand.request import RequestKind, RequestState
from thumbmill.tracker.reconciliation.loop import make_reconciler
from thumbmill.tracker.reconciliation.scan import Scanner
from thumbmill.tracker.settings import Settings
from thumbmill.tracker.watermarks import Watermarks


class World:
    """The three servers with the tracker's own users, and with root for making drift."""

    def __init__(self, stack):
        self.system = System(stack)
        self.stop = Event()
        self.secrets, ports = stack.installation.secrets, stack.installation.ports
        self.owner = self._url(stack, "thumbmill", "POSTGRES_PASSWORD")
        self.settings = Settings(
            minio_url=f"http://127.0.0.1:{ports['MINIO_PORT']}",
            minio_access_key="status-tracker",
            minio_secret_key=self.secrets["STATUS_TRACKER_MINIO_SECRET_KEY"],
            rabbitmq_port=ports["RABBITMQ_PORT"],
            rabbitmq_user="status-tracker",
            rabbitmq_password=self.secrets["STATUS_TRACKER_RABBITMQ_PASSWORD"],
            database_url=self._url(stack, "status_tracker", "STATUS_TRACKER_DATABASE_PASSWORD"),
        )
        self.storage = Storage(self.settings)
        self.repository = self.connect("test")
        self.publisher = Publisher(self.settings, "test")
        self.tracker = Tracker(self.repository, self.storage, Watermarks())
        self.requests = RequestRepository(self.repository)

    def _url(self, stack, role, secret):
        return database_url(stack.installation, role, self.secrets[secret])

    def connect(self, name):
        return Repository(SecretStr(self.settings.database_url.get_secret_value()), name)

    def clear(self):
        """Empty everything, and let the tracker have caught up."""
        for bucket in (ORIGINALS_BUCKET, VARIANTS_BUCKET):
            for key in self.system.keys(bucket):
                self.system.s3.delete_object(Bucket=bucket, Key=key)
        self.ask("TRUNCATE images, events, operator_requests, redriven, reconciled, reconciliation_passes")
        self.ask(
            "UPDATE reconciliation SET bucket = 'images-original', last_key = '', last_id = NULL, objects = 0,"
            " step = 0, next_step_at = 'epoch', pass_began = NULL, pass_ended = NULL"
        )
        self.catch_up(timedelta(hours=1))
        self.drain_image_queue()

    def catch_up(self, ahead):
        self.ask("UPDATE progress SET caught_up_to = %s", [datetime.now(UTC) + ahead])

    def reconciler(self, repository=None, *, storage=None, variant_age=0, **settings):
        """Return one whose stuck images are ten minutes old, as by default, while variants need not be."""
        storage = storage or self.storage
        changed = self.settings.model_copy(update=settings)
        reconciler = make_reconciler(
            changed, repository or self.repository, storage, self.publisher, self.stop, late_seconds=0
        )
        return replace(reconciler, scanner=Scanner(storage, reconciler.repository, variant_age))

    def reconcile(self, *, dry_run=False, **changes):
        """Run a requested pass, and return what it found, by kind."""
        request = self.request(dry_run=dry_run)
        self.reconciler(**changes).run_once()
        request = self.requests.find(request.kind, request.id)
        if request.state is not RequestState.DONE:
            raise DependencyUnavailable("reconciliation", request.error)
        return {kind: count for kind, count in request.progress.report["found"].items() if count}

    def request(self, *, dry_run=False):
        """Add an operator's request."""
        return self.requests.add(RequestKind.RECONCILIATION, {}, dry_run=dry_run, requested_by="ada")

    # --- drift --------------------------------------------------------------------------------------------

    def put(self, key, data=b"bytes"):
        self.system.put(key, data)
        return self.storage.head(ORIGINALS_BUCKET, key).object_version

    def record(self, *events):
        self.tracker.record(list(events))

    def make_done(self, key, *, version="1.3", presets=("thumbnail", "large"), run_id=""):
        """Make a DONE image; return its ID and the keys of its variants."""
        object_version = self.put(key)
        image_id = image_id_of(key)
        keys = [variant_key(image_id, "ab" * 32, preset, version, "webp") for preset in presets]
        for each in keys:
            self.put_variant(each)
        variants = [Variant(type="x", key=k, width=1, height=1, bytes=1, content_type="image/webp") for k in keys]
        about = {"key": key, "object_version": object_version, "run_id": run_id}
        done = Done(**about, sha256="ab" * 32, width=1, height=1, format="JPEG", variants=variants)
        self.record(event_factory.put(object_version, key=key), event_factory.payload(done))
        self.drain_image_queue()
        return image_id, keys

    def put_variant(self, key):
        self.system.s3.put_object(Bucket=VARIANTS_BUCKET, Key=key, Body=b"x")

    def delete(self, bucket, key):
        self.system.s3.delete_object(Bucket=bucket, Key=key)
        self.drain_image_queue()

    # --- results ---------------------------------------------------------------------------------

    def drain_image_queue(self):
        """Empty the thumbnailer's queue; return routing key, event, key, and whether there is a run."""
        messages = []
        with self.system.channel() as channel:
            while (got := channel.basic_get("image_queue", auto_ack=True))[0] is not None:
                method, properties, body = got
                [event] = parse_storage_events(body)
                run = (properties.headers or {}).get("x-run", "")
                messages.append((method.routing_key, event.name, event.key, bool(run)))
        return messages

    def ask(self, query, values=()):
        with closing(psycopg.connect(self.owner, autocommit=True, row_factory=dict_row)) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def row(self, image_id):
        rows = self.ask("SELECT * FROM images WHERE id = %s", [image_id])
        return rows[0] if rows else None

    def repairs(self, image_id):
        rows = self.ask("SELECT data FROM events WHERE image_id = %s AND type = 'tracker.repaired'", [image_id])
        return [row["data"]["drift"] for row in rows]

    def everything(self):
        """Return all that a dry run must not change."""
        rows = self.ask("SELECT * FROM images ORDER BY id"), self.ask("SELECT * FROM events ORDER BY id")
        return (
            *rows,
            self.ask("SELECT * FROM reconciliation"),
            self.system.keys(VARIANTS_BUCKET),
            self.drain_image_queue(),
        )


@pytest.fixture(scope="session")
def servers():
    with run_stack(backing_only=True) as stack:
        world = World(stack)
        migrate(world.owner)
        yield world
        world.repository.close()
        world.publisher.close()
        world.system.close()


@pytest.fixture
def world(servers):
    servers.clear()
    yield servers
    servers.stop.clear()


@pytest.fixture
def other_repository(world):
    with closing(world.connect("another test")) as repository:
        yield repository
