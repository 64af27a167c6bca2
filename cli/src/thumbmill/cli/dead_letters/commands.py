"""``thumbmill dead``: look at what the services could not handle, send it back, or throw it away."""

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
from thumbmill.cli.dead_letters.model import DeadLetter, Selection
from thumbmill.cli.dead_letters.redrive import DeadLetterActions, Tally, apply_all, select
from thumbmill.cli.dead_letters.table import count, details, tabulate
from thumbmill.cli.settings import Settings, load_settings
from thumbmill.cli.signals import stop_on_signals
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.dead_letters import DeadLetterReader
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import TRACKER_QUEUE
from thumbmill.core.service import logs
from thumbmill.core.settings import SettingsError

NAME = "thumbmill dead"
LONG_AGO = datetime.min.replace(tzinfo=UTC)
SHOWN = 100  # letters in a list, unless asked for more

NO_MATCH = "no dead letter is meant by that"

app = typer.Typer(no_args_is_help=True, help="Messages that the services could not handle.")

Queue = Annotated[
    str, typer.Option("--queue", metavar="QUEUE", help="Only of this work queue.", show_default=False)
]
Ids = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="An image's id or a letter's; may be repeated.")
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", metavar="CODE", help="As `list` has it; may be repeated.")
]
Everything = Annotated[bool, typer.Option("--all", help="Every letter.")]
Rate = Annotated[float, typer.Option("--rate", metavar="N", min=0.01, max=10_000, help="At most so many a second.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which letters are meant.")]


@app.command("list")
def list_(
    *,
    queue: Queue = "",
    ids: Ids = None,
    reasons: Reasons = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Show so many at most; 0: all.")] = SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one array.")] = False,
) -> None:
    """Show the dead letters of each queue: which image, why, after how many attempts, since when."""
    selection = _choose(ids, reasons, everything=not ids and not reasons)
    with _open_broker() as (settings, reader, _):
        found = select(reader, _queues(settings, queue), selection, Tally())
        letters = list(islice(found, limit or None))
        letters.sort(key=lambda letter: (letter.raw.queue, letter.died_at or LONG_AGO))
        is_cut = bool(limit) and next(found, None) is not None
    if as_json:
        print(json.dumps([letter.describe() for letter in letters], indent=2))  # noqa: T201 - what was asked for
    else:
        _show(letters)
        if not letters:
            open_console().print("no dead letters" if selection.everything else NO_MATCH)
    if not letters and not selection.everything:
        raise typer.Exit(NOTHING_FOUND)
    if is_cut:
        print_status(f"there are more than these {limit}: give --limit 0 to see all")


@app.command()
def show(
    which: Annotated[str, typer.Argument(metavar="ID", help="A letter's id, or its image's.")],
    *,
    queue: Queue = "",
) -> None:
    """Show one letter whole: what is known of it, its headers, its body."""
    with _open_broker() as (settings, reader, _):
        letters = list(select(reader, _queues(settings, queue), _choose([which], None, everything=False), Tally()))
    if not letters:
        exit_with(f"no dead letter {which}: `{NAME} list` shows their ids", NOTHING_FOUND)
    console = open_console()
    for number, letter in enumerate(letters):
        if number:
            console.print()
        for line in details(letter):
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
    """Send letters back to their work queue, as if they had never been tried.

    Each letter is removed only when the broker has confirmed the message that takes its place, so this may be
    killed and started again.
    """
    selection = _choose(ids, reasons, everything=everything)
    if dry_run:
        _preview(_find(queue, selection), "would be redriven")
        return
    tally = Tally()
    with _open_broker() as (settings, reader, publisher), stop_on_signals() as stop:
        actions = DeadLetterActions(settings.thumbmill_operator, publisher)
        letters = _with_progress(select(reader, _queues(settings, queue), selection, tally))
        with _report_tally("redriven", tally, everything=everything):
            apply_all(
                letters, actions.redrive, reader, tally, rate=rate, stop=stop, keep_alive=publisher.keep_alive
            )


@app.command()
def drop(
    *,
    queue: Queue = "",
    ids: Ids = None,
    reasons: Reasons = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Throw letters away. Their images stay what they are."""
    found = _find(queue, _choose(ids, reasons, everything=everything))
    if dry_run or not yes:
        _preview(found, "would be dropped")
    if dry_run:
        return
    if not yes and not sys.stdin.isatty():
        exit_with("nobody to ask: give --yes to drop these letters", WRONG_USE)
    if not yes and not typer.confirm(f"Throw away {count(len(found))} for good?", err=True):
        exit_with("nothing was dropped", NOTHING_FOUND)
    # What has died since was not asked about.
    selection = Selection(ids=frozenset(letter.id for letter in found))
    tally = Tally()
    with _open_broker() as (settings, reader, publisher), stop_on_signals() as stop:
        actions = DeadLetterActions(settings.thumbmill_operator, publisher)
        letters = _with_progress(select(reader, _queues(settings, queue), selection, tally))
        with _report_tally("dropped", tally, everything=everything):
            apply_all(letters, actions.drop, reader, tally, rate=10_000, stop=stop, keep_alive=publisher.keep_alive)


# --- what the commands share ---------------------------------------------------------------------------------


def _choose(ids: list[str] | None, reasons: list[str] | None, *, everything: bool) -> Selection:
    if not (ids or reasons or everything):
        exit_with("which letters? Give --id, --reason, or --all (`thumbmill dead list` shows them)", WRONG_USE)
    if everything and (ids or reasons):
        exit_with("--all and --id or --reason contradict each other: give one of them", WRONG_USE)
    return Selection(everything, frozenset(id_.lower() for id_ in ids or []), frozenset(reasons or []))


def _queues(settings: Settings, queue: str) -> list[str]:
    all_ = [settings.rabbitmq_queue, TRACKER_QUEUE]
    if queue and queue.removesuffix(".dead") not in all_:
        exit_with(f"--queue: there are {' and '.join(all_)}", WRONG_USE)
    return [queue.removesuffix(".dead")] if queue else all_


def _find(queue: str, selection: Selection) -> list[DeadLetter]:
    with _open_broker() as (settings, reader, _):
        letters = list(select(reader, _queues(settings, queue), selection, Tally()))
    if not letters and selection.everything:
        exit_with("there are no dead letters", 0)
    if not letters:
        exit_with(NO_MATCH, NOTHING_FOUND)
    return letters


def _show(letters: list[DeadLetter]) -> None:
    console = open_console()
    for table in tabulate(letters, console.width):
        console.print(table)


def _preview(letters: list[DeadLetter], verdict: str) -> None:
    _show(letters[:SHOWN])
    if len(letters) > SHOWN:
        print_status(f"and {len(letters) - SHOWN:,} more")
    print_status(f"{count(len(letters))} {verdict}")


def _with_progress(letters: Iterator[DeadLetter]) -> Iterator[DeadLetter]:
    """Show on a terminal how far the work has come."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield from letters
        return
    with console.status("looking through the dead queues") as status:
        for number, letter in enumerate(letters, 1):
            status.update(f"{count(number)} so far; Ctrl-C ends after the one in hand")
            yield letter


@contextmanager
def _open_broker() -> Iterator[tuple[Settings, DeadLetterReader, Publisher]]:
    """Open what a command works with; a fault ends the program with a sentence that says what to do."""
    try:
        settings = load_settings()
    except SettingsError as fault:
        exit_with(str(fault), WRONG_USE)
    logs.configure(settings, NAME, sys.stderr)
    try:
        with DeadLetterReader(settings, NAME) as reader, Publisher(settings, f"{NAME} publisher") as publisher:
            yield settings, reader, publisher
    except DependencyRejected as fault:
        exit_with(f"{fault}", UNAVAILABLE)
    except DependencyUnavailable as fault:
        place = f"RABBITMQ_HOST={settings.rabbitmq_host}, RABBITMQ_PORT={settings.rabbitmq_port}"
        exit_with(f"{fault} ({place}); what was not moved is where it was", UNAVAILABLE)


@contextmanager
def _report_tally(done: str, tally: Tally, *, everything: bool) -> Iterator[None]:
    """Say at the end what was done, however it ended."""
    try:
        yield
    finally:
        codes = ", ".join(f"{number:,} {code}" for code, number in sorted(tally.done.items()))
        print_status(f"{count(tally.moved)} {done}{f' ({codes})' if codes else ''}")
    if tally.interrupted:
        exit_with("interrupted; the rest is where it was", INTERRUPTED)
    if not tally.moved and not everything:
        exit_with(NO_MATCH, NOTHING_FOUND)
