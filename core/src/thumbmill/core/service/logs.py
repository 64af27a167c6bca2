"""Structured logs: JSON for machines, readable lines on a terminal."""

import logging
import sys
from io import StringIO
from typing import Any, TextIO

import structlog

from thumbmill.core.settings import ServiceSettings
from thumbmill.core.text import escape_to_one_line, escape_unprintable

# pika logs every connection error at length; our own log line has the same information.
_MINIMUM_LEVELS = {"pika": logging.CRITICAL, "urllib3": logging.ERROR, "minio": logging.WARNING}


def configure(settings: ServiceSettings, service: str, stream: TextIO | None = None) -> None:
    """Write the logs of structlog and of the libraries to a stream (stdout), each line with the service's name."""
    stream = stream or sys.stdout
    console = settings.log_format == "console" or (settings.log_format == "auto" and stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="%Y-%m-%d %H:%M:%S.%f" if console else "iso", utc=not console, key="time"
        ),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor] = (
        [
            _escape,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                timestamp_key="time",
                pad_event_to=24,
                exception_formatter=_write_traceback,  # rich's formatter takes seconds, and shows variables
            ),
        ]
        if console
        else [_add_service(service), structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(shared, last, settings.log_level, stream)


def _add_service(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**event, "service": service}

    return add


def _escape(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters for a terminal; JSON has its own escapes."""
    multiline = {"stack", "exception"}
    return {
        escape_to_one_line(name): escape_unprintable(value)
        if name in multiline and isinstance(value, str)
        else escape_to_one_line(value)
        if isinstance(value, str)
        else value
        for name, value in event.items()
    }


def _write_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    text = StringIO()
    structlog.dev.plain_traceback(text, error)
    stream.write(escape_unprintable(text.getvalue()))


def _configure_libraries(
    shared: list[structlog.typing.Processor], last: list[structlog.typing.Processor], level: str, stream: TextIO
) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, lowest in _MINIMUM_LEVELS.items():
        logging.getLogger(name).setLevel(lowest)
