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

from pipeline import crashpoints, logs
from pipeline.consumer import Consumer
from pipeline.identity import ORIGINALS
from pipeline.outcomes import DependencyAway, Refused
from pipeline.publisher import Publisher
from pipeline.settings import load_or_exit, masked
from pipeline.startup import Start, insist, serve_probes, stop_on_signals
from pipeline.storage import Storage
from pipeline.topology import tracker_family
from pipeline.workers import Probe
from status_tracker.database import UnstorableError
from status_tracker.heartbeats import Heartbeats
from status_tracker.migrations import check_version, migrate
from status_tracker.pace import Pace
from status_tracker.periodic import repeat, start
from status_tracker.queues import measure_queues, watched_queues
from status_tracker.reconcile import make_reconciler
from status_tracker.reconcile_order import PATH, take_orders
from status_tracker.repository import Repository
from status_tracker.retention import EVERY_SECONDS, Retention, Rules
from status_tracker.retry_order import PATH as RETRY_PATH
from status_tracker.retry_order import take_retry_orders
from status_tracker.settings import MigrationSettings, Settings
from status_tracker.sweep import Sweep
from status_tracker.tracker import Tracker
from status_tracker.watermarks import Watermarks

log = structlog.get_logger()

NAME = "status-tracker"
MARK_SECONDS = 1  # between two watermarks

T = TypeVar("T", Repository, Publisher)


def main() -> None:
    """Run the command and exit: 0 after a clean stop, 1 when a server refuses us, 2 for wrong settings."""
    parser = argparse.ArgumentParser(
        prog=NAME, description="Keeps every image's state and timeline in Postgres.", epilog="Settings: README.md."
    )
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
        insist(apply, stop)
    except (Refused, UnstorableError) as fault:
        log.critical("cannot_migrate", fault=str(fault))
        return 1
    except DependencyAway:
        return 1  # stopped while waiting
    for name in applied:
        log.info("migration_applied", name=name)
    log.info("schema_is_current", applied=len(applied))
    return 0


def run() -> int:
    """Consume until stopped."""
    settings = load_or_exit(Settings)
    logs.configure(settings, NAME)
    try:
        crashpoints.arm(settings.crash_point)
    except ValueError as fault:
        log.critical("wrong_settings", fault=str(fault))
        return 2
    log.info("starting", **masked(settings))
    try:
        with ExitStack() as open_things:
            _consume(settings, Event(), open_things)
    except (Refused, OSError) as fault:
        log.critical("cannot_run", fault=str(fault))
        return 1
    except DependencyAway as away:  # it was stopped while it waited
        log.info("never_started", fault=str(away))
    log.info("stopped")
    return 0


def _consume(settings: Settings, stop: Event, open_things: ExitStack) -> None:
    """Build everything, consume until stopped; what is opened here is closed in reverse order."""
    storage = Storage(settings)
    watermarks = Watermarks()
    heartbeats = Heartbeats(storage, watermarks)
    rules = Rules.of(settings)
    books, sweep_books, health_books, reconciler_books, retention_books = (
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
        family=tracker_family(settings.rabbitmq_queue),
        handle=Tracker(
            books, storage, watermarks, rules, allow_unnamed=settings.accept_unnamed_events, hear=heartbeats.hear
        ).handle,
        probes={"minio": partial(storage.check, ORIGINALS), "postgres": books.ping},
        pause=Pace(settings.tracker_batch_size),
        prefetch=2 * settings.tracker_batch_size,
        batch=settings.tracker_batch_size,
        grace_seconds=settings.stop_grace_seconds,
    )
    reconciler = make_reconciler(
        settings, reconciler_books, storage, reconciler_publisher, stop, rest_seconds=heartbeats.rest_seconds
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
    began = Start()
    check_storage = partial(storage.check, ORIGINALS)
    pings: dict[str, Probe] = {"postgres": health_books.ping, "minio": check_storage}
    orders = {
        PATH: take_orders(settings, storage, stop),
        RETRY_PATH: take_retry_orders(settings, storage, stop),
    }
    side_port = serve_probes(
        settings, settings.health_port, consumer, began, pings, orders, checks={"notifications": heartbeats.fault}
    )
    open_things.callback(side_port.shutdown)

    insist(partial(check_version, settings.database_url.get_secret_value()), stop, began)
    insist(check_storage, stop, began)

    def send_mark() -> None:
        if not consumer.ready():
            watermarks.send(mark_publisher)

    def send_beat() -> None:
        if not consumer.ready():
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
    began.end()
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
