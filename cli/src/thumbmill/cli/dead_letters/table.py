"""Dead letters on a terminal. Their content is untrusted: it is printed as text, never as markup."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from thumbmill.cli.console import PIPED_WIDTH
from thumbmill.cli.dead_letters.model import format_body
from thumbmill.core.messaging.dead_letters import DeadLetter
from thumbmill.core.text import escape_unprintable

_ID_WIDTH = 36  # an image's id stays on one line; on a narrow terminal keys are wrapped to this width
_DATE_WIDTH = 10  # the time goes to the next line
_WIDE = 100


def tabulate(dead_letters: Iterable[DeadLetter], width: int = PIPED_WIDTH) -> Iterator[Table]:
    """Yield a table for each queue, for a terminal of this width. The dead letters have to be sorted by queue."""
    for queue, group in groupby(dead_letters, lambda dead_letter: dead_letter.raw.queue):
        rows = list(group)
        title = _text(f"{queue}: {describe_count(len(rows))}")
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        narrow = width < _WIDE
        table.add_column("id, image, key", width=_ID_WIDTH if narrow else None, overflow="fold")
        table.add_column("reason", overflow="fold")
        table.add_column("attempts", justify="right")
        table.add_column("since", width=_DATE_WIDTH if narrow else None)
        for dead_letter in rows:
            table.add_row(*map(_text, _cells(dead_letter)))
        yield table


def _cells(dead_letter: DeadLetter) -> tuple[object, ...]:
    pairs = zip(dead_letter.image_ids, dead_letter.keys, strict=True)
    images = [f"{image_id}\n{key}" for image_id, key in pairs]
    reason = f"{dead_letter.code}\n{dead_letter.reason}" if dead_letter.reason else dead_letter.code
    since = _format_time(dead_letter.dead_lettered_at)[:16]
    return "\n".join([dead_letter.id, *images]), reason, dead_letter.attempts, since


def details(dead_letter: DeadLetter) -> Iterator[Text]:
    """Yield all that is known about a dead letter, its headers, and its body."""
    fields: dict[str, Any] = {
        "id": dead_letter.id,
        "queue": dead_letter.raw.queue,
        "images": ", ".join(map(str, dead_letter.image_ids)) or "none",
        "keys": ", ".join(dead_letter.keys) or "none",
        "code": dead_letter.code,
        "reason": dead_letter.reason,
        "attempts": dead_letter.attempts,
        "since": _format_time(dead_letter.dead_lettered_at),
        "redriven by": dead_letter.redriven_by or "-",
        "content type": dead_letter.raw.content_type or "none",
    }
    yield from (Text.assemble((f"{name:<13}", "bold"), _text(value)) for name, value in fields.items())
    yield Text("\nheaders", style="bold")
    yield _text(json.dumps(dead_letter.raw.headers, indent=2, default=str, ensure_ascii=False))
    yield Text("\nbody", style="bold")
    yield _text(format_body(dead_letter.raw))


def describe_count(number: int) -> str:
    """Return, for instance, "2 dead letters"."""
    return f"{number:,} dead letter{'' if number == 1 else 's'}"


def _format_time(time: datetime | None) -> str:
    return time.astimezone().isoformat(sep=" ", timespec="seconds") if time else "-"


def _text(value: object) -> Text:
    return Text(escape_unprintable(value))
