"""How dead letters look on a terminal. What strangers wrote is shown as text and never as markup."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from thumbmill.cli.console import PIPED_WIDTH
from thumbmill.cli.dead_letters.model import DeadLetter, format_body
from thumbmill.core.text import escape_unprintable

_ID_WIDTH = 36  # an image's id stays in one piece; keys fold to it where there is little room
_DATE_WIDTH = 10  # the time goes below
_ROOMY = 100


def tabulate(letters: Iterable[DeadLetter], width: int = PIPED_WIDTH) -> Iterator[Table]:
    """Make a table for each queue, for a terminal of so many columns. The letters have to come queue by queue."""
    for queue, group in groupby(letters, lambda letter: letter.raw.queue):
        rows = list(group)
        title = _text(f"{queue}: {count(len(rows))}")
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        narrow = width < _ROOMY
        table.add_column("letter, image, key", width=_ID_WIDTH if narrow else None, overflow="fold")
        table.add_column("why", overflow="fold")
        table.add_column("tries", justify="right")
        table.add_column("died", width=_DATE_WIDTH if narrow else None)
        for letter in rows:
            table.add_row(*map(_text, _cells(letter)))
        yield table


def _cells(letter: DeadLetter) -> tuple[object, ...]:
    images = [f"{image_id}\n{key}" for image_id, key in zip(letter.image_ids, letter.keys, strict=True)]
    why = f"{letter.code}\n{letter.reason}" if letter.reason else letter.code
    return "\n".join([letter.id, *images]), why, letter.attempts, _show_time(letter.died_at)[:16]


def details(letter: DeadLetter) -> Iterator[Text]:
    """Write one letter whole: what is known of it, its headers, its body."""
    facts: dict[str, Any] = {
        "letter": letter.id,
        "lies in": letter.raw.queue,
        "images": ", ".join(map(str, letter.image_ids)) or "none",
        "keys": ", ".join(letter.keys) or "none",
        "code": letter.code,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "died": _show_time(letter.died_at),
        "redriven by": letter.redriven_by or "nobody yet",
        "content type": letter.raw.content_type or "none",
    }
    yield from (Text.assemble((f"{name:<13}", "bold"), _text(value)) for name, value in facts.items())
    yield Text("\nheaders", style="bold")
    yield _text(json.dumps(letter.raw.headers, indent=2, default=str, ensure_ascii=False))
    yield Text("\nbody", style="bold")
    yield _text(format_body(letter.raw))


def count(number: int) -> str:
    """Say how many dead letters there are."""
    return f"{number:,} dead letter{'' if number == 1 else 's'}"


def _show_time(time: datetime | None) -> str:
    return time.astimezone().isoformat(sep=" ", timespec="seconds") if time else "-"


def _text(value: object) -> Text:
    return Text(escape_unprintable(value))
