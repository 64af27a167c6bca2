"""``status-tracker reconcile``: a whole pass now, as fast as it goes, and what it found."""

import json
import sys
from contextlib import closing, redirect_stdout
from threading import Event

import structlog

from pipeline import logs
from pipeline.identity import ORIGINALS, PROCESSED
from pipeline.outcomes import DependencyAway, Refused
from pipeline.publisher import Publisher
from pipeline.settings import load_or_exit
from pipeline.startup import insist, stop_on_signals
from pipeline.storage import Storage
from status_tracker.migrations import check_version
from status_tracker.reconcile import Report, make_reconciler
from status_tracker.reconcile_heal import StoppedError
from status_tracker.reconcile_rules import What
from status_tracker.repository import Repository
from status_tracker.settings import Settings

log = structlog.get_logger()

NAME = "status-tracker reconcile"
_MEANINGS = {
    What.MISSED: "objects that no row knew, announced again",
    What.VANISHED: "rows whose object is gone, marked",
    What.STUCK: "images that nobody worked on, announced again",
    What.VARIANTS_GONE: "images whose variants are gone, to be made again",
    What.ORPHANS: "images with variants that no row names, removed",
}


def run_reconcile(*, dry: bool, as_json: bool) -> int:
    """Do a pass and print what it found: on stdout, while the log goes to stderr.

    Gives 0 when it came to its end, 1 when something is away, refuses us or told us to stop.
    """
    settings = load_or_exit(Settings)
    with redirect_stdout(sys.stderr):
        logs.configure(settings, NAME)
    stop = Event()
    stop_on_signals(stop)
    storage = Storage(settings)
    with closing(Repository(settings.database_url, NAME)) as repository, Publisher(settings, NAME) as publisher:
        reconciler = make_reconciler(settings, repository, storage, publisher, stop, dry=dry)
        try:
            insist(lambda: check_version(settings.database_url.get_secret_value()), stop)
            insist(lambda: storage.check(ORIGINALS, PROCESSED), stop)
            report = reconciler.run_pass(stop, lambda: log.info("waits_for_another_reconciler"))
        except (Refused, DependencyAway) as fault:
            log.critical("cannot_reconcile", fault=str(fault))
            return 1
        except StoppedError:
            log.info("stopped")
            return 1
    print(json.dumps(report.to_dict()) if as_json else table_of(report))  # noqa: T201 - what was asked for
    return 0


def table_of(report: Report) -> str:
    """Write a report for people."""
    lines = [f"{report.found[what]:>8}  {meaning}" for what, meaning in _MEANINGS.items()]
    compared = f"{report.originals} originals and {report.variants} variants compared in {report.seconds:.1f} s"
    return "\n".join([*lines, compared if report.changed else f"{compared}; a dry run: nothing was changed"])
