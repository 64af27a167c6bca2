"""``status-tracker run`` and ``status-tracker migrate``."""

import argparse
import sys
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from threading import Event
from time import monotonic
from typing import TypeVar

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
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.heartbeats import Heartbeats
from thumbmill.tracker.queue_lengths import measure_queues, watched_queues
from thumbmill.tracker.reconciliation.loop import make_reconciler
from thumbmill.tracker.reconciliation.on_demand import PATH, take_orders
from thumbmill.tracker.retention import EVERY_SECONDS, Retention, Rules
from thumbmill.tracker.retry_on_demand import PATH as RETRY_PATH
from thumbmill.tracker.retry_on_demand import take_retry_orders
from thumbmill.tracker.settings import MigrationSettings, Settings
from thumbmill.tracker.sweep import Sweep
from thumbmill.tracker.watermarks import Watermarks

log = structlog.get_logger()

NAME = "status-tracker"
MARK_SECONDS = 1  # between two watermarks

T = TypeVar("T", Repository, Publisher)


def main() -> None:
    """Run the command and exit: 0 after a clean stop, 1 when a server refuses us, 2 for wrong settings."""
    parser = argparse.ArgumentParser(
        prog=NAME, description="Keeps every image's state and timeline in Postgres.", epilog="Settings: README.md."
    )
    parser.add_argument("--version", action="version", version=get_version())
    commands = parser.add_subparsers(required=True, metavar="{run,migrate}")
    for name, command, what in (
        ("run", run, "consume events until stopped (SIGTERM, SIGINT)"),
        ("migrate", run_migrate, "bring the database to this program's schema; needs only MIGRATION_DATABASE_URL"),
    ):
        commands.add_parser(name, help=what, description=what).set_defaults(command=command)
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
    except (DependencyRejected, InvalidValueError) as fault:
        log.critical("cannot_migrate", fault=str(fault))
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
        with ExitStack() as open_things:
            _consume(settings, Event(), open_things)
    except (DependencyRejected, OSError) as fault:
        log.critical("cannot_run", fault=str(fault))
        return 1
    except DependencyUnavailable as away:  # it was stopped while it waited
        log.info("never_started", fault=str(away))
    log.info("stopped")
    return 0


def _consume(settings: Settings, stop: Event, open_things: ExitStack) -> None:
    """Build everything, consume until stopped; what is opened here is closed in reverse order."""
    storage = Storage(settings)
    watermarks = Watermarks()
    heartbeats = Heartbeats(storage, watermarks)
    rules = Rules.of(settings)
    unit_of_work, sweep_books, health_books, reconciler_books, retention_books = (
        _opened(Repository(settings.database_url, f"{NAME} {purpose}"), open_things)
        for purpose in ("handler", "sweep", "health", "reconciliation", "retention")
    )
    sweep_publisher, mark_publisher, counting, reconciler_publisher = (
        _opened(Publisher(settings, f"{NAME} {purpose}"), open_things)
        for purpose in ("sweep", "watermarks", "queue lengths", "reconciliation")
    )
    consumer = Consumer(
        name=NAME,
        broker=settings,
        queue_group=tracker_queues(settings.rabbitmq_queue),
        handle=Tracker(
            unit_of_work,
            storage,
            watermarks,
            rules,
            allow_unnamed=settings.accept_unnamed_events,
            receive=heartbeats.receive,
        ).handle,
        probes={"minio": partial(storage.check, ORIGINALS_BUCKET), "postgres": unit_of_work.ping},
        batch_delay=BatchDelay(settings.tracker_batch_size),
        prefetch=2 * settings.tracker_batch_size,
        batch=settings.tracker_batch_size,
        grace_seconds=settings.stop_grace_seconds,
    )
    reconciler = make_reconciler(
        settings,
        reconciler_books,
        storage,
        reconciler_publisher,
        stop,
        interval_seconds=heartbeats.interval_seconds,
    )
    sweep = Sweep(
        repository=sweep_books,
        tracker=Tracker(sweep_books, storage, Watermarks(), rules),
        storage=storage,
        publisher=sweep_publisher,
        image_queue=settings.rabbitmq_queue,
        age=timedelta(seconds=settings.sweep_after_seconds),
    )
    stop_on_signals(stop, consumer.stop)
    began = Startup()
    check_storage = partial(storage.check, ORIGINALS_BUCKET)
    probes: dict[str, Probe] = {"postgres": health_books.ping, "minio": check_storage}
    orders = {
        PATH: take_orders(settings, storage, stop),
        RETRY_PATH: take_retry_orders(settings, storage, stop),
    }
    side_port = serve_admin(
        settings,
        settings.health_port,
        consumer,
        began,
        probes,
        orders,
        health_checks={"notifications": heartbeats.fault},
    )
    open_things.callback(side_port.shutdown)

    retry_until_available(partial(check_version, settings.database_url.get_secret_value()), stop, began)
    retry_until_available(check_storage, stop, began)

    def send_mark() -> None:
        if not consumer.readiness():
            watermarks.send(mark_publisher)

    def send_beat() -> None:
        if not consumer.readiness():
            heartbeats.turn()

    queues = watched_queues(settings.rabbitmq_queue)
    threads = [
        repeat("watermarks", MARK_SECONDS, stop, send_mark),
        repeat("heartbeat", settings.heartbeat_interval_seconds, stop, send_beat),
        repeat("sweep", settings.sweep_interval_seconds, stop, sweep.run),
        repeat("retention", EVERY_SECONDS, stop, partial(Retention(retention_books, rules).run, stop)),
        repeat("queue lengths", settings.sweep_interval_seconds, stop, partial(measure_queues, counting, queues)),
        start("reconciliation", partial(reconciler.run, stop)),
    ]
    began.complete()
    try:
        consumer.run()
    finally:
        stop.set()
        deadline = monotonic() + settings.stop_grace_seconds  # for all together
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))


def _opened(thing: T, open_things: ExitStack) -> T:
    open_things.callback(thing.close)
    return thing


if __name__ == "__main__":
    main()
