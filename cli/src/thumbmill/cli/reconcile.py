"""``thumbmill reconcile``: have the tracker compare the buckets with the rows now, and report what it found."""

import json
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from thumbmill.cli.console import open_console
from thumbmill.cli.tracker_client import Report, run_request
from thumbmill.core.text import escape_unprintable

PATH = "/reconciliation"
MEANINGS = {  # what is wrong, and what is done about it
    "missed": ("objects without a row", "events republished"),
    "vanished": ("rows without their object", "marked as deleted"),
    "stuck": ("images without progress", "events republished"),
    "missing_variants": ("images with missing variants", "variants generated again"),
    "orphans": ("images with variants that no row names", "variants deleted"),
}


def reconcile(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Compare both buckets with the database now, and repair what differs.

    A running status tracker does the work, now and without its rate limit. Its log names each image. The request
    survives a restart of the tracker. Ctrl-C cancels it after the current page; what was repaired stays repaired.
    """
    report = run_request(PATH, {"dry_run": dry_run}, describe_progress)
    if as_json:
        print(json.dumps(report))  # noqa: T201
        return
    console = open_console()
    if any(report["found"].values()):
        console.print(tabulate(report))
    console.print(summarize(report))


def describe_progress(report: Report) -> str:
    """Return the progress of a pass."""
    return f"{_compared(report)}, {sum(report['found'].values()):,} differ"


def tabulate(report: Report) -> Table:
    """Return what was found as a table; an unknown kind is shown by its name."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("found", justify="right")
    table.add_column("what")
    table.add_column("done" if report["changed"] else "would be")
    for what, number in report["found"].items():
        if number:
            meaning, remedy = MEANINGS.get(what, (what, ""))
            table.add_row(f"{number:,}", Text(escape_unprintable(meaning)), remedy)
    return table


def summarize(report: Report) -> str:
    """Return what was compared, and whether anything differed."""
    verdict = "a dry run: nothing was changed" if not report["changed"] else "all of it is repaired"
    if not any(report["found"].values()):
        verdict = "nothing differs"
    return f"{_compared(report)} in {report['seconds']:.1f} s; {verdict}"


def _compared(report: Report) -> str:
    return f"{report['originals']:,} originals and {report['variants']:,} variants compared"
