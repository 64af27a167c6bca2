"""``python -m benchmarks.idle_path.timed_service FILE -- COMMAND``: a service that writes when its functions ran.

The functions are wrapped from outside, so that production has no timers. Each call is a line of JSON in FILE, with
the image that it is about, and when it began and ended, in seconds since 1970.
"""

import functools
import importlib
import inspect
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from thumbmill.core.contracts.identity import image_id_of

SEPARATOR = "--"

ImageIds = Callable[..., Iterable[object]]  # of a call's arguments

_HANDLER = "thumbmill.thumbnailer.handler"
_current = threading.local()  # the image that this thread of the thumbnailer processes


@dataclass(frozen=True)
class Span:
    """A function of a service, and which images a call of it is about."""

    name: str
    place: str  # ``module:name`` or ``module:Class.name``
    image_ids: ImageIds


def _of_this_thread(*_: object, **__: object) -> Iterable[object]:
    return [_current.image_id]


def _of_event(_: object, event: Any, *__: object) -> Iterable[object]:
    _current.image_id = event.image_id
    return [event.image_id]


def _of_key(_store: object, _bucket: str, key: str, *_: object, **__: object) -> Iterable[object]:
    return [image_id_of(key)]


SPANS = {
    "gateway": [
        Span("put", "thumbmill.core.object_store.store:Storage.put", _of_key),
    ],
    "thumbnailer": [
        Span("process", f"{_HANDLER}:Thumbnailer._process_event", _of_event),
        Span("fetch", f"{_HANDLER}:Thumbnailer._fetch", _of_this_thread),
        Span("decode", "thumbmill.thumbnailer.sandbox.pool:Decoder.decode", _of_this_thread),
        Span("store", "thumbmill.thumbnailer.variants:VariantStore.put_all", _of_this_thread),
        Span("check", f"{_HANDLER}:Thumbnailer._is_current", _of_this_thread),
        Span("publish", f"{_HANDLER}:publish", _of_this_thread),
    ],
    "status-tracker": [
        Span(
            "record",
            "thumbmill.tracker.handler:Tracker.record",
            lambda _, events, *__: {event.image_id for event in events if event.type == "image.done"},
        )
    ],
}


def command(service: list[str], file: Path, checkout: Path) -> list[str]:
    """Return the command that runs a service with timers."""
    module = [sys.executable, "-m", "benchmarks.idle_path.timed_service"]
    return ["env", f"PYTHONPATH={checkout}", *module, str(file), SEPARATOR, *service]


def main() -> None:
    """Wrap the functions and become the service: run the console entry point that has the command's name."""
    file, _, *service = sys.argv[1:]
    name = service[0].rpartition("/")[2]
    write = Path(file).open("a", buffering=1, encoding="utf-8").write  # noqa: SIM115 - until the process ends
    for span in SPANS[name]:
        wrap(span, lambda span, ids, begin: write(f"{_line(name, span, ids, begin)}\n"))
    [entry] = entry_points(group="console_scripts", name=name)
    sys.argv = service
    sys.exit(entry.load()())


def wrap(span: Span, record: Callable[[Span, list[object], float], object]) -> None:
    """Replace the span's function by one that records each call."""
    module, _, path = span.place.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    function = getattr(holder, name)
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{span.place} is a coroutine function")

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        ids, begin = list(span.image_ids(*args, **kwargs)), time.time()
        try:
            return function(*args, **kwargs)
        finally:
            record(span, ids, begin)

    setattr(holder, name, timed)


def _line(service: str, span: Span, ids: list[object], begin: float) -> str:
    images = [str(image_id) for image_id in ids]
    return json.dumps({"service": service, "span": span.name, "images": images, "begin": begin, "end": time.time()})


if __name__ == "__main__":
    main()
