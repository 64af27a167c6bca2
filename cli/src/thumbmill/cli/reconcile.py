"""``thumbmill reconcile``: have the tracker compare the buckets with the rows now, and say what it found."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from thumbmill.cli.console import INTERRUPTED, UNAVAILABLE, WRONG_USE, exit_with, open_console, print_status
from thumbmill.cli.settings import load_settings
from thumbmill.cli.signals import raise_on_signals
from thumbmill.cli.tracker_client import give_order
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.settings import SettingsError
from thumbmill.core.text import escape_unprintable

PATH = "/reconcile"
TOLD_SECONDS = 10.0  # between two lines of progress where there is no terminal
MEANINGS = {  # what is wrong, what is done about it
    "missed": ("objects that no row knew", "announced again"),
    "vanished": ("rows whose object is gone", "marked as deleted"),
    "stuck": ("images that nobody worked on", "announced again"),
    "variants_gone": ("images whose variants are gone", "to be made again"),
    "orphans": ("images with variants that no row names", "these variants removed"),
}

Report = dict[str, Any]  # the tracker's words


def reconcile(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object.")] = False,
) -> None:
    """Compare both buckets with the rows now, and put right what differs.

    A running status tracker does it, as its loop does all the time, but at once and as fast as it goes. Its log
    names each image. Ctrl-C ends it after the object in hand; what was healed stays healed.
    """
    try:
        settings = load_settings()
    except SettingsError as fault:
        exit_with(str(fault), WRONG_USE)
    url = settings.status_tracker_url
    raise_on_signals()
    try:
        report = watch(give_order(url, PATH, {"dry_run": dry_run}))
    except KeyboardInterrupt:
        exit_with(
            "interrupted; the tracker ends after the object in hand, and its loop finds the rest", INTERRUPTED
        )
    except DependencyUnavailable as fault:
        exit_with(f"{fault} (STATUS_TRACKER_URL={url})", UNAVAILABLE)
    if report["state"] != "done":
        exit_with(
            f"the tracker gave up: {report.get('fault', 'it fell silent')}; mend that, and start this again",
            UNAVAILABLE,
        )
    if as_json:
        print(json.dumps({name: value for name, value in report.items() if name != "state"}))  # noqa: T201
        return
    console = open_console()
    if any(report["found"].values()):
        console.print(tabulate(report))
    console.print(summarize(report))


def watch(lines: Iterable[Report]) -> Report:
    """Show how far the pass is, and give the last line."""
    console = open_console(stderr=True)
    last: Report = {"state": "silent"}
    told = 0.0
    with console.status("asking the tracker") as status:
        for report in lines:
            last = report
            status.update(f"{progress(report)}; Ctrl-C ends it")
            if not console.is_terminal and report.get("seconds", 0.0) >= told + TOLD_SECONDS:
                told = report["seconds"]
                print_status(progress(report))
    return last


def progress(report: Report) -> str:
    """Say how far a pass is."""
    if "found" not in report:
        return "waiting until nobody else reconciles"
    return f"{_compared(report)}, {sum(report['found'].values()):,} differ"


def tabulate(report: Report) -> Table:
    """Lay out what was found; a kind of which this program knows nothing goes by its name."""
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
    """Say what was compared, and whether anything differed."""
    verdict = "a dry run: nothing was changed" if not report["changed"] else "all of that was put right"
    if not any(report["found"].values()):
        verdict = "nothing differs"
    return f"{_compared(report)} in {report['seconds']:.1f} s; {verdict}"


def _compared(report: Report) -> str:
    return f"{report['originals']:,} originals and {report['variants']:,} variants compared"
