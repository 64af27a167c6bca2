"""Log lines: readable on a terminal, with their date."""

import io
import logging
import re
from contextlib import contextmanager

import structlog

from thumbmill.core.service.logs import configure
from thumbmill.core.settings import ServiceSettings

HOSTILE = "\x1b[2Ja\x9b31m\r\u202eb\x07"


@contextmanager
def logging_to_console():
    stream = io.StringIO()
    try:
        configure(ServiceSettings(log_format="console"), "gateway", stream)
        yield stream
    finally:
        structlog.reset_defaults()


def test_a_line_on_a_terminal_has_its_date():
    with logging_to_console() as stream:
        structlog.get_logger().warning("a message")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[warning *\] a message", stream.getvalue())


def test_untrusted_text_cannot_control_the_terminal():
    log, library = structlog.get_logger(), logging.getLogger("library")
    with logging_to_console() as stream:
        log.warning(HOSTILE, key=HOSTILE, inside={HOSTILE: HOSTILE}, **{HOSTILE: 1})
        library.warning("%s", HOSTILE)
        for write in (log.error, library.error):
            write("failed", exc_info=ValueError(HOSTILE))
    assert not set(stream.getvalue()) & set(HOSTILE) - set("2Jab31m[")
    assert stream.getvalue().count("a\\x9b31m\\r\\u202eb\\x07") >= 6


def test_untrusted_text_cannot_pass_for_a_line():
    with logging_to_console() as stream:
        structlog.get_logger().warning("a message", key="a\n2026-01-01 00:00:00 [info] all is well")
    assert stream.getvalue().count("\n") == 1
