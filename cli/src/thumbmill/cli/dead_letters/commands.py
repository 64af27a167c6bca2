"""``thumbmill dead``: list, show, redrive and drop dead letters."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer

from thumbmill.cli.console import (
    INTERRUPTED,
    NOTHING_FOUND,
    UNAVAILABLE,
    WRONG_USE,
    exit_with,
    open_console,
    print_status,
)
from thumbmill.cli.dead_letters.model import Selection
from thumbmill.cli.dead_letters.redrive import DeadLetterActions, Tally, apply_all, select
from thumbmill.cli.dead_letters.table import describe_count, details, tabulate
from thumbmill.cli.settings import Settings, load_settings
from thumbmill.cli.signals import stop_on_signals
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.dead_letters import DeadLetter, DeadLetterReader
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import TRACKER_QUEUE
from thumbmill.core.service import logs
from thumbmill.core.settings import SettingsError

NAME = "thumbmill dead"
MIN_DATETIME = datetime.min.replace(tzinfo=UTC)
DEFAULT_LIMIT = 100  # dead letters in a list

NO_MATCH = "no dead letter matches"

app = typer.Typer(no_args_is_help=True, help="Manage dead letters: messages that a service could not handle.")

Queue = Annotated[
    str,
    typer.Option("--queue", metavar="QUEUE", help="Only dead letters of this work queue.", show_default=False),
]
Ids = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="Id of an image or a dead letter; may be repeated.")
]
Reasons = Annotated[
    list[str] | None,
    typer.Option("--reason", metavar="CODE", help="Code in the column `reason` of `list`; may be repeated."),
]
Everything = Annotated[bool, typer.Option("--all", help="All dead letters.")]
Rate = Annotated[
    float, typer.Option("--rate", metavar="N", min=0.01, max=10_000, help="Maximum number per second.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list the dead letters that match; change nothing.")]


@app.command("list")
def list_(
    *,
    queue: Queue = "",
    ids: Ids = None,
    reasons: Reasons = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Maximum number to list; 0 for all.")
    ] = DEFAULT_LIMIT,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List the dead letters of each queue with their images, the reason, the attempts and the time."""
    selection = _choose(ids, reasons, everything=not ids and not reasons)
    with _open_broker() as (settings, reader, _):
        found = select(reader, _queues(settings, queue), selection, Tally())
        dead_letters = list(islice(found, limit or None))
        dead_letters.sort(
            key=lambda dead_letter: (dead_letter.raw.queue, dead_letter.dead_lettered_at or MIN_DATETIME)
        )
        has_more = bool(limit) and next(found, None) is not None
    if as_json:
        print(json.dumps([dead_letter.describe() for dead_letter in dead_letters], indent=2))  # noqa: T201 - the command's output
    else:
        _show(dead_letters)
        if not dead_letters:
            open_console().print("no dead letters" if selection.everything else NO_MATCH)
    if not dead_letters and not selection.everything:
        raise typer.Exit(NOTHING_FOUND)
    if has_more:
        print_status(f"only the first {limit} are listed: give --limit 0 for all")


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of a dead letter or of an image.")],
    *,
    queue: Queue = "",
) -> None:
    """Show all details of a dead letter: its images, the reason, its headers and its body."""
    with _open_broker() as (settings, reader, _):
        dead_letters = list(
            select(reader, _queues(settings, queue), _choose([id_], None, everything=False), Tally())
        )
    if not dead_letters:
        exit_with(f"no dead letter {id_}: `{NAME} list` prints their ids", NOTHING_FOUND)
    console = open_console()
    for number, dead_letter in enumerate(dead_letters):
        if number:
            console.print()
        for line in details(dead_letter):
            console.print(line, soft_wrap=True)


@app.command()
def redrive(
    *,
    queue: Queue = "",
    ids: Ids = None,
    reasons: Reasons = None,
    everything: Everything = False,
    rate: Rate = 50,
    dry_run: DryRun = False,
) -> None:
    """Send dead letters back to their work queue as first attempts.

    Each one is removed only after the broker has confirmed the new message, so this command may be killed and
    started again.
    """
    selection = _choose(ids, reasons, everything=everything)
    if dry_run:
        _preview(_find(queue, selection), "would be redriven")
        return
    tally = Tally()
    with _open_broker() as (settings, reader, publisher), stop_on_signals() as stop:
        actions = DeadLetterActions(settings.thumbmill_operator, publisher)
        dead_letters = _with_progress(select(reader, _queues(settings, queue), selection, tally))
        with _report_tally("redriven", tally, everything=everything):
            apply_all(
                dead_letters, actions.redrive, reader, tally, rate=rate, stop=stop, keep_alive=publisher.keep_alive
            )


@app.command()
def drop(
    *,
    queue: Queue = "",
    ids: Ids = None,
    reasons: Reasons = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Delete dead letters. The status of their images does not change."""
    found = _find(queue, _choose(ids, reasons, everything=everything))
    if dry_run or not yes:
        _preview(found, "would be dropped")
    if dry_run:
        return
    if not yes and not sys.stdin.isatty():
        exit_with(
            "cannot ask for confirmation without a terminal: give --yes to drop these dead letters", WRONG_USE
        )
    if not yes and not typer.confirm(f"Delete {describe_count(len(found))} permanently?", err=True):
        exit_with("nothing was dropped", NOTHING_FOUND)
    # Only those that were confirmed, not any that arrived since.
    selection = Selection(ids=frozenset(dead_letter.id for dead_letter in found))
    tally = Tally()
    with _open_broker() as (settings, reader, publisher), stop_on_signals() as stop:
        actions = DeadLetterActions(settings.thumbmill_operator, publisher)
        dead_letters = _with_progress(select(reader, _queues(settings, queue), selection, tally))
        with _report_tally("dropped", tally, everything=everything):
            apply_all(
                dead_letters, actions.drop, reader, tally, rate=10_000, stop=stop, keep_alive=publisher.keep_alive
            )


# --- shared by the commands -----------------------------------------------------------------------------------


def _choose(ids: list[str] | None, reasons: list[str] | None, *, everything: bool) -> Selection:
    if not (ids or reasons or everything):
        exit_with(
            "nothing selected: give --id, --reason, or --all (`thumbmill dead list` prints ids and reasons)",
            WRONG_USE,
        )
    if everything and (ids or reasons):
        exit_with("--all cannot be combined with --id or --reason", WRONG_USE)
    return Selection(everything, frozenset(id_.lower() for id_ in ids or []), frozenset(reasons or []))


def _queues(settings: Settings, queue: str) -> list[str]:
    all_ = [settings.rabbitmq_queue, TRACKER_QUEUE]
    if queue and queue.removesuffix(".dead") not in all_:
        exit_with(f"--queue: the queues are {' and '.join(all_)}", WRONG_USE)
    return [queue.removesuffix(".dead")] if queue else all_


def _find(queue: str, selection: Selection) -> list[DeadLetter]:
    with _open_broker() as (settings, reader, _):
        dead_letters = list(select(reader, _queues(settings, queue), selection, Tally()))
    if not dead_letters and selection.everything:
        exit_with("there are no dead letters", 0)
    if not dead_letters:
        exit_with(NO_MATCH, NOTHING_FOUND)
    return dead_letters


def _show(dead_letters: list[DeadLetter]) -> None:
    console = open_console()
    for table in tabulate(dead_letters, console.width):
        console.print(table)


def _preview(dead_letters: list[DeadLetter], outcome: str) -> None:
    _show(dead_letters[:DEFAULT_LIMIT])
    if len(dead_letters) > DEFAULT_LIMIT:
        print_status(f"and {len(dead_letters) - DEFAULT_LIMIT:,} more")
    print_status(f"{describe_count(len(dead_letters))} {outcome}")


def _with_progress(dead_letters: Iterator[DeadLetter]) -> Iterator[DeadLetter]:
    """Show the progress on a terminal."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield from dead_letters
        return
    with console.status("reading the dead-letter queues") as status:
        for number, dead_letter in enumerate(dead_letters, 1):
            status.update(f"{describe_count(number)} so far; Ctrl-C stops after the current one")
            yield dead_letter


@contextmanager
def _open_broker() -> Iterator[tuple[Settings, DeadLetterReader, Publisher]]:
    """Load the settings and connect to the broker; on an error, print what to do and exit."""
    try:
        settings = load_settings()
    except SettingsError as error:
        exit_with(str(error), WRONG_USE)
    logs.configure(settings, NAME, sys.stderr)
    try:
        with DeadLetterReader(settings, NAME) as reader, Publisher(settings, f"{NAME} publisher") as publisher:
            yield settings, reader, publisher
    except DependencyRejected as error:
        exit_with(str(error), UNAVAILABLE)
    except DependencyUnavailable as error:
        address = f"RABBITMQ_HOST={settings.rabbitmq_host}, RABBITMQ_PORT={settings.rabbitmq_port}"
        exit_with(f"{error} ({address}); all other dead letters are still in their queues", UNAVAILABLE)


@contextmanager
def _report_tally(done: str, tally: Tally, *, everything: bool) -> Iterator[None]:
    """Print at the end what was done, even after an error."""
    try:
        yield
    finally:
        codes = ", ".join(f"{number:,} {code}" for code, number in sorted(tally.done.items()))
        print_status(f"{describe_count(tally.moved)} {done}{f' ({codes})' if codes else ''}")
    if tally.interrupted:
        exit_with("interrupted; all other dead letters are still in their queues", INTERRUPTED)
    if not tally.moved and not everything:
        exit_with(NO_MATCH, NOTHING_FOUND)
