"""A client that follows all changes by a stream, and resumes it whenever it breaks."""

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import httpx

from thumbmill.cli.drill.clients import Access
from thumbmill.cli.polling import pause

_QUIET_SECONDS = 3.0  # without an event: cut the stream and resume it, so that a drill tries that often
_START_SECONDS = 20.0
_RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class StreamEvent:
    """A server-sent event."""

    type: str
    id: str
    data: str


@dataclass
class Watcher:
    """A thread that follows the stream until ``stop`` is set."""

    access: Access
    stop: threading.Event = field(default_factory=threading.Event)
    last_ids: dict[str, str] = field(default_factory=dict)  # by image: the id of the last change that was received
    errors: list[str] = field(default_factory=list)  # changes out of order, and resets
    _position: str = ""
    _started: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        """Start, and return once changes are followed, or the gateway has not answered for a while."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        self._started.wait(_START_SECONDS)
        return thread

    def handle(self, event: StreamEvent) -> None:
        """Record an event."""
        if event.type == "reset":
            self.errors.append(f"the stream was reset: {event.data}")
        elif event.type.startswith("image."):
            if sequence_number(event.id) <= sequence_number(self._position):
                self.errors.append(f"{event.id} came after {self._position}")
            self.last_ids[json.loads(event.data)["data"]["id"]] = event.id
        self._position = event.id
        self._started.set()

    def _run(self) -> None:
        with self.access.http() as http:
            while not self.stop.is_set():
                headers = {"Last-Event-ID": self._position} if self._position else {}
                timeout = httpx.Timeout(_START_SECONDS, read=_QUIET_SECONDS)
                try:
                    with http.stream("GET", "/api/v1/stream", headers=headers, timeout=timeout) as response:
                        response.raise_for_status()
                        for event in read_events(response.iter_lines()):
                            self.handle(event)
                            if self.stop.is_set():
                                return
                except httpx.ReadTimeout:
                    continue
                except httpx.HTTPError:
                    pause(_RETRY_SECONDS)


def read_events(lines: Iterable[str]) -> Iterator[StreamEvent]:
    """Yield the events in a stream; one that was cut is not complete, and does not count."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield StreamEvent(fields.get("event", ""), fields.get("id", ""), fields["data"])
            fields = {}


def sequence_number(event_id: str) -> int:
    """Return the number in an event's id, which grows with every change; 0 without an id."""
    return int(event_id.rpartition("-")[2] or 0)
