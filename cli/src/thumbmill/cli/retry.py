"""``thumbmill retry``: have FAILED images tried again, each as a run of its own in its timeline."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer
from rich import box
from rich.table import Table

from thumbmill.cli.console import (
    INTERRUPTED,
    NOTHING_FOUND,
    UNAVAILABLE,
    WRONG_USE,
    exit_with,
    open_console,
    print_status,
)
from thumbmill.cli.settings import load_settings
from thumbmill.cli.signals import raise_on_signals
from thumbmill.cli.tracker_client import give_order
from thumbmill.core.contracts.error_codes import RETRYABLE, ErrorCode
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.settings import SettingsError

PATH = "/retry"
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Codes = Annotated[
    list[str] | None, typer.Option("--code", metavar="CODE", help="Only what failed so; may be repeated.")
]
Since = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="Only what failed since: 90m, 2h, 3d ago, or ISO 8601."),
]
Ids = Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this image; may be repeated.")]

Report = dict[str, Any]  # the tracker's words


def retry(
    *,
    codes: Codes = None,
    since: Since = "",
    ids: Ids = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what failed by its own bytes: limits or programs have changed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which images are meant.")] = False,
) -> None:
    """Have FAILED images tried again, as their owners can one by one, at most 50 a second.

    A running status tracker does it. Each failure is tried again once, however often this is started; Ctrl-C ends
    it after the image in hand.
    """
    wishes = {"dry_run": dry_run, "force": force, **choose(codes or [], since, ids or [], force=force)}
    try:
        settings = load_settings()
    except SettingsError as fault:
        exit_with(str(fault), WRONG_USE)
    url = settings.status_tracker_url
    raise_on_signals()
    try:
        report = _last(give_order(url, PATH, {**wishes, "operator": settings.thumbmill_operator}))
    except KeyboardInterrupt:
        exit_with("interrupted; what was asked for is tried again, the rest stays FAILED", INTERRUPTED)
    except DependencyUnavailable as fault:
        exit_with(f"{fault} (STATUS_TRACKER_URL={url})", UNAVAILABLE)
    if report["state"] != "done":
        exit_with(
            f"the tracker gave up: {report.get('fault', 'it fell silent')}; mend that, and start this again",
            UNAVAILABLE,
        )
    if not report["found"]:
        exit_with("no image is meant by that: none that is FAILED so", NOTHING_FOUND)
    open_console().print(tabulate(report))
    print_status(summarize(report))


def choose(codes: list[str], since: str, ids: list[str], *, force: bool) -> dict[str, object]:
    """Understand which images somebody means; what is wrong ends the program with a sentence that says so."""
    if not (codes or since or ids):
        exit_with("which images? Give --code, --since or --id", WRONG_USE)
    known = sorted(code.value for code in ErrorCode)
    if unknown := sorted(set(codes) - set(known)):
        exit_with(f"--code: there is no {', '.join(unknown)}; there are {', '.join(known)}", WRONG_USE)
    final = sorted(set(codes) - {code.value for code in RETRYABLE})
    if final and not force:
        exit_with(
            f"--code: after {', '.join(final)} another try ends the same way, unless limits or programs have "
            "changed since: if so, give --force",
            WRONG_USE,
        )
    moment = read_time(since) if since else None
    if since and moment is None:
        exit_with("--since: give it as 90m, 2h, 3d, or ISO 8601, such as 2026-11-22T08:00", WRONG_USE)
    return {"codes": codes, "ids": [_id(text) for text in ids], "since": moment.isoformat() if moment else None}


def read_time(text: str, now: datetime | None = None) -> datetime | None:
    """Read a time, or how long ago it was; a time without an offset is local. None: it makes no sense."""
    if ago := _AGO.fullmatch(text):
        return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def tabulate(report: Report) -> Table:
    """Lay out the first of the images."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("image")
    table.add_column("why it failed")
    for image in report["images"]:
        table.add_row(str(image["id"]), str(image["code"]))
    return table


def summarize(report: Report) -> str:
    """Say how many there are, and what becomes of them."""
    found = int(report["found"])
    codes = ", ".join(f"{number:,} {code}" for code, number in sorted(report["codes"].items()))
    one = found == 1
    verdict = "would be tried again" if not report["changed"] else f"{'is' if one else 'are'} tried again"
    more = f", of which the first {len(report['images'])} are shown" if found > len(report["images"]) else ""
    return f"{found:,} image{'' if one else 's'} {verdict} ({codes}){more}"


def _last(lines: Iterable[Report]) -> Report:
    last: Report = {"state": "silent"}
    with open_console(stderr=True).status("asking the tracker") as status:
        for report in lines:
            last = report
            status.update(f"{report.get('found', 0):,} images so far; Ctrl-C ends it")
    return last


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        exit_with(f"--id: {text[:50]!r} is no image's id", WRONG_USE)
