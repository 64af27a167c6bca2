"""Server-sent events as a client parses them (HTML, 9.2.6)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json


@dataclass(frozen=True)
class Event:
    """One event. ``last_id`` is what the client sends when it reconnects after it."""

    type: str
    data: Any
    last_id: str
    retry: int | None = None

    @property
    def seq(self) -> int:
        return int(self.last_id.partition("-")[2])


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events in a stream's lines. An event counts once its empty line has arrived."""
    last_id, fields = "", dict[str, str]()
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        last_id = fields.get("id", last_id)
        if "data" in fields:
            retry = int(fields["retry"]) if "retry" in fields else None
            yield Event(fields.get("event", "message"), from_json(fields["data"]), last_id, retry)
        fields = {}


def parse_events(content: bytes) -> list[Event]:
    """Return the complete events in a part of a stream, which may end anywhere."""
    return list(read_events(content.decode(errors="replace").split("\n")[:-1]))
