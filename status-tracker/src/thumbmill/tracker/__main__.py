"""``status-tracker run`` and ``status-tracker migrate``."""

import argparse
import sys
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from threading import Event
from time import monotonic

import structlog

from thumbmill.core.build_info import get_version, publish_build_info
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.consumer import Consumer
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import tracker_queues
from thumbmill.core.messaging.workers import Probe
from thumbmill.core.object_store.store import Storage
from thumbmill.core.service import logs
from thumbmill.core.service.lifecycle import Startup, retry_until_available, serve_admin, stop_on_signals
from thumbmill.core.settings import load_or_exit, masked
from thumbmill.tracker.background import repeat, start
from thumbmill.tracker.batching import BatchDelay
from thumbmill.tracker.db.connection import InvalidValueError
from thumbmill.tracker.db.migrate import check_version, migrate
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.dead_letters import DeadLetterWatch
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.heartbeats import Heartbeats
from thumbmill.tracker.on_demand.endpoints import make_endpoints
from thumbmill.tracker.on_demand.retry import POLL_SECONDS, Retrier
from thumbmill.tracker.queue_lengths import QueueWatch, watched_queues
from thumbmill.tracker.reconciliation.loop import make_reconciler
from thumbmill.tracker.retention import INTERVAL_SECONDS, Retention, RetentionRules
from thumbmill.tracker.settings import MigrationSettings, Settings
from thumbmill.tracker.sweep import Sweep
from thumbmill.tracker.watermarks import Watermarks

log = structlog.get_logger()

NAME = "status-tracker"
WATERMARK_SECONDS = 1  # between two watermarks


def main() -> None:
    """Run the command and exit: 0 after a clean stop, 1 if a server rejects the service, 2 for invalid settings."""
    parser = argparse.ArgumentParser(
        prog=NAME, description="Keeps every image's state and timeline in Postgres.", epilog="Settings: README.md."
    )
    parser.add_argument("--version", action="version", version=get_version())
    commands = parser.add_subparsers(required=True, metavar="{run,migrate}")
    for name, command, description in (
        ("run", run, "consume events until stopped (SIGTERM, SIGINT)"),
        (
            "migrate",
            run_migrate,
            "migrate the database to this version's schema; needs only MIGRATION_DATABASE_URL",
        ),
    ):
        commands.add_parser(name, help=description, description=description).set_defaults(command=command)
    sys.exit(parser.parse_args().command())


def run_migrate() -> int:
    """Wait for Postgres and apply the migrations that are missing."""
    settings = load_or_exit(MigrationSettings)
    logs.configure(settings, f"{NAME} migrate")
    stop = Event()
    stop_on_signals(stop)
    applied: list[str] = []

    def apply() -> None:
        applied.extend(migrate(settings.migration_database_url.get_secret_value()))

    try:
        retry_until_available(apply, stop)
    except (DependencyRejected, InvalidValueError) as error:
        log.critical("cannot_migrate", error=str(error))
        return 1
    except DependencyUnavailable:
        return 1  # stopped while waiting
    for name in applied:
        log.info("migration_applied", name=name)
    log.info("schema_is_current", applied=len(applied))
    return 0


def run() -> int:
    """Consume until stopped."""
    settings = load_or_exit(Settings)
    logs.configure(settings, NAME)
    publish_build_info(NAME)
    log.info("starting", **masked(settings))
    try:
        with ExitStack() as resources:
            _consume(settings, Event(), resources)
    except (DependencyRejected, OSError) as error:
        log.critical("cannot_run", error=str(error))
        return 1
    except DependencyUnavailable as error:  # stopped while it waited
        log.info("never_started", error=str(error))
    log.info("stopped")
    return 0


def _consume(settings: Settings, stop: Event, resources: ExitStack) -> None:
    """Build everything and consume until stopped; what is opened here is closed in reverse order."""

    def open_repository(purpose: str) -> Repository:
        repository = Repository(settings.database_url, f"{NAME} {purpose}")
        resources.callback(repository.close)
        return repository

    def open_publisher(purpose: str) -> Publisher:
        publisher = Publisher(settings, f"{NAME} {purpose}")
        resources.callback(publisher.close)
        return publisher

    storage = Storage(settings)
    check_storage = partial(storage.check, ORIGINALS_BUCKET)
    watermarks = Watermarks()
    heartbeats = Heartbeats(storage, watermarks)
    rules = RetentionRules.from_settings(settings)

    handler_repository = open_repository("handler")
    tracker = Tracker(
        handler_repository,
        storage,
        watermarks,
        rules,
        allow_unnamed=settings.accept_unnamed_events,
        on_heartbeat=heartbeats.receive,
    )
    consumer = Consumer(
        name=NAME,
        broker=settings,
        queue_group=tracker_queues(settings.rabbitmq_queue),
        handle=tracker.handle,
        probes={"minio": check_storage, "postgres": handler_repository.ping},
        batch_delay=BatchDelay(settings.tracker_batch_size),
        prefetch=2 * settings.tracker_batch_size,
        batch=settings.tracker_batch_size,
        grace_seconds=settings.stop_grace_seconds,
    )
    reconciler = make_reconciler(
        settings,
        open_repository("reconciliation"),
        storage,
        open_publisher("reconciliation"),
        stop,
        interval_seconds=heartbeats.interval_seconds,
    )
    retry_repository = open_repository("retries")
    retrier = Retrier(
        retry_repository,
        Tracker(retry_repository, storage, Watermarks(), rules),
        open_publisher("retries"),
        stop,
    )
    sweep_repository = open_repository("sweep")
    sweep = Sweep(
        repository=sweep_repository,
        tracker=Tracker(sweep_repository, storage, Watermarks(), rules),
        storage=storage,
        publisher=open_publisher("sweep"),
        image_queue=settings.rabbitmq_queue,
        age=timedelta(seconds=settings.sweep_after_seconds),
    )
    retention = Retention(open_repository("retention"), rules)
    watermark_publisher = open_publisher("watermarks")
    queue_repository = open_repository("queues")
    dead_letter_watch = DeadLetterWatch(
        queue_repository,
        Tracker(queue_repository, storage, Watermarks(), rules),
        settings,
        settings.rabbitmq_queue,
    )
    queue_watch = QueueWatch(
        open_publisher("queues"),
        queue_repository,
        watched_queues(settings.rabbitmq_queue),
        dead_letter_watch.run,
    )

    stop_on_signals(stop, consumer.stop)
    startup = Startup()
    probes: dict[str, Probe] = {"postgres": open_repository("health").ping, "minio": check_storage}
    admin_port = serve_admin(
        settings,
        settings.health_port,
        consumer,
        startup,
        probes,
        make_endpoints(lambda: Repository(settings.database_url, f"{NAME} admin port")),
        health_checks={"notifications": heartbeats.health},
    )
    resources.callback(admin_port.shutdown)

    retry_until_available(partial(check_version, settings.database_url.get_secret_value()), stop, startup)
    retry_until_available(check_storage, stop, startup)

    def send_watermark() -> None:
        if not consumer.health.readiness():
            watermarks.send(watermark_publisher)

    def send_heartbeat() -> None:
        if not consumer.health.readiness():
            heartbeats.run_once()

    threads = [
        repeat("watermarks", WATERMARK_SECONDS, stop, send_watermark),
        repeat("heartbeat", settings.heartbeat_interval_seconds, stop, send_heartbeat),
        repeat("sweep", settings.sweep_interval_seconds, stop, sweep.run),
        repeat("retention", INTERVAL_SECONDS, stop, partial(retention.run, stop)),
        repeat("queues", settings.sweep_interval_seconds, stop, queue_watch.run),
        repeat("retries", POLL_SECONDS, stop, retrier.run_once),
        start("reconciliation", reconciler.run),
    ]
    startup.complete()
    try:
        consumer.run()
    finally:
        stop.set()
        deadline = monotonic() + settings.stop_grace_seconds  # for all together
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))


if __name__ == "__main__":
    main()
