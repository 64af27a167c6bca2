"""``thumbmill retry``: process FAILED images again, each in a new run that its timeline shows."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer
from rich import box
from rich.table import Table

from thumbmill.cli.console import NOTHING_FOUND, WRONG_USE, exit_with, open_console, print_status
from thumbmill.cli.durations import parse_duration
from thumbmill.cli.tracker_client import Report, run_request
from thumbmill.core.contracts.error_codes import RETRYABLE, ErrorCode

PATH = "/retry"

Codes = Annotated[
    list[str] | None,
    typer.Option("--code", metavar="CODE", help="Only images that failed with this code; may be repeated."),
]
Since = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="Only images that failed since: 90m, 2h, 3d ago, or ISO 8601."),
]
Ids = Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this image; may be repeated.")]


def retry(
    *,
    codes: Codes = None,
    since: Since = "",
    ids: Ids = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also images whose code is final, because limits or programs have changed."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report which images match.")] = False,
) -> None:
    """Retry FAILED images, at most 50 a second.

    A running status tracker does the work. Each failure is retried once, however often this command runs. The
    request survives a restart of the tracker. Ctrl-C cancels it after the current page of images.
    """
    filters = parse_filters(codes or [], since, ids or [], force=force)
    report = run_request(PATH, {"dry_run": dry_run, "force": force, **filters}, describe_progress)
    if not report["found"]:
        exit_with("no FAILED image matches", NOTHING_FOUND)
    open_console().print(tabulate(report))
    print_status(summarize(report))


def describe_progress(report: Report) -> str:
    """Return how many images were found so far."""
    return f"{report['found']:,} images so far"


def parse_filters(codes: list[str], since: str, ids: list[str], *, force: bool) -> dict[str, object]:
    """Return the filters for the tracker; end the program with a message if one is invalid."""
    if not (codes or since or ids):
        exit_with("nothing selected: give --code, --since or --id", WRONG_USE)
    known = sorted(code.value for code in ErrorCode)
    if unknown := sorted(set(codes) - set(known)):
        exit_with(f"--code: unknown: {', '.join(unknown)}; known codes: {', '.join(known)}", WRONG_USE)
    final = sorted(set(codes) - {code.value for code in RETRYABLE})
    if final and not force:
        exit_with(
            f"--code: after {', '.join(final)} another attempt fails the same way, unless limits or programs have "
            "changed since: in that case add --force",
            WRONG_USE,
        )
    moment = read_time(since) if since else None
    if since and moment is None:
        exit_with("--since: use 90m, 2h, 3d, or ISO 8601, such as 2026-11-22T08:00", WRONG_USE)
    return {"codes": codes, "ids": [_id(text) for text in ids], "since": moment.isoformat() if moment else None}


def read_time(text: str, now: datetime | None = None) -> datetime | None:
    """Parse a time, or how long ago it was; a time without an offset is local. Return None if it is invalid."""
    if (ago := parse_duration(text)) is not None:
        return (now or datetime.now(UTC)) - ago
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def tabulate(report: Report) -> Table:
    """Return the first of the images as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("image")
    table.add_column("code")
    for image in report["images"]:
        table.add_row(str(image["id"]), str(image["code"]))
    return table


def summarize(report: Report) -> str:
    """Return how many images there are, and what happens to them."""
    found = int(report["found"])
    codes = ", ".join(f"{number:,} {code}" for code, number in sorted(report["codes"].items()))
    one = found == 1
    verdict = "would be retried" if not report["changed"] else f"{'is' if one else 'are'} being retried"
    more = f", of which the first {len(report['images'])} are shown" if found > len(report["images"]) else ""
    return f"{found:,} image{'' if one else 's'} {verdict} ({codes}){more}"


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        exit_with(f"--id: {text[:50]!r} is not an image ID", WRONG_USE)
