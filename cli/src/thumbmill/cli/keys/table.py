"""Keys and their history on a terminal. Names are printed as text, never as markup."""

import json
from collections.abc import Iterable
from datetime import datetime

from rich import box
from rich.table import Table
from rich.text import Text

from thumbmill.cli.keys.database import KeyEvent, StoredKey
from thumbmill.core.text import escape_unprintable


def tabulate_keys(keys: Iterable[StoredKey], now: datetime) -> Table:
    """Return keys as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("id", "name", "tenant", "scopes", "created", "state", "successor"):
        table.add_column(name, overflow="fold")
    for key in keys:
        cells = (key.id, key.name, key.tenant or "-", ", ".join(key.scopes), format_time(key.created_at))
        table.add_row(*map(_text, (*cells, describe_state(key, now), key.successor or "-")))
    return table


def tabulate_history(events: Iterable[KeyEvent]) -> Table:
    """Return changes of keys as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("time", "key", "change", "by", "what"):
        table.add_column(name, overflow="fold")
    for event in events:
        what = {name: value for name, value in event.data.items() if value}
        cells = (format_time(event.at), event.key_id, event.type, event.actor, json.dumps(what, ensure_ascii=False))
        table.add_row(*map(_text, cells))
    return table


def describe_state(key: StoredKey, now: datetime) -> str:
    """Return whether a key is valid, and until when."""
    if key.revoked_at:
        return f"revoked {format_time(key.revoked_at)}"
    if key.expires_at and key.expires_at <= now:
        return f"expired {format_time(key.expires_at)}"
    return describe_expiry(key.expires_at)


def describe_expiry(expires_at: datetime | None) -> str:
    """Return, for instance, "expires 2026-12-01 08:00 UTC"."""
    return f"expires {format_time(expires_at)}" if expires_at else "never expires"


def format_time(moment: datetime) -> str:
    """Return a time in the operator's time zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _text(value: str) -> Text:
    return Text(escape_unprintable(value))
