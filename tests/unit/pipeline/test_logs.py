"""Lines of the log: readable on a terminal, with the day they belong to."""

import io
import re

import structlog

from pipeline.logs import configure
from pipeline.settings import ServiceSettings


def test_a_line_for_people_has_its_date():
    stream = io.StringIO()
    try:
        configure(ServiceSettings(log_format="console"), "gateway", stream)
        structlog.get_logger().warning("a message")
    finally:
        structlog.reset_defaults()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[warning *\] a message", stream.getvalue())
