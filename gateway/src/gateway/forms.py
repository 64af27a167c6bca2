"""The file in a request's body, pushed through as it comes: a form's field ``file``, or the bytes as they are.

Nothing is kept here: what comes in as network chunks goes out as views of them.
"""

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.problems import Code, Problem

FIELD = "file"
_LONGEST_NAME = 255  # characters; longer ones are cut
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # and what turns text around


class Incoming(Protocol):
    """A body whose file comes piece by piece."""

    file_name: str | None

    def feed(self, data: bytes) -> list[memoryview]:
        """Take a chunk of the body and give what is the file's. Raises Problem."""

    def finish(self) -> None:
        """Make sure that the body was complete. Raises Problem."""


def open_body(headers: Mapping[str, str]) -> Incoming:
    """Choose how to read a body, by its headers. Raises Problem."""
    content_type, options = parse_options_header(headers.get("content-type"))
    if content_type == b"multipart/form-data":
        return FormBody(options.get(b"boundary", b""))
    if content_type.startswith(b"image/"):
        return RawBody(_named_in(headers.get("content-disposition", "").encode("latin-1")))
    raise Problem(Code.UNSUPPORTED_CONTENT_TYPE)


class RawBody:
    """The body is the file."""

    def __init__(self, file_name: str | None) -> None:
        self.file_name = file_name

    def feed(self, data: bytes) -> list[memoryview]:
        return [memoryview(data)]

    def finish(self) -> None:
        """A raw body ends where the server says so."""


class FormBody:
    """A multipart form; fields other than ``file`` are passed over."""

    def __init__(self, boundary: bytes) -> None:
        if not boundary:
            raise Problem(Code.MALFORMED_FORM, "the content type names no boundary")
        self.file_name: str | None = None
        self._pieces: list[memoryview] = []
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._inside = self._found = self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as fault:
            raise Problem(Code.MALFORMED_FORM, str(fault)) from fault

    def feed(self, data: bytes) -> list[memoryview]:
        self._pieces = []
        try:
            self._parser.write(data)
        except FormParserError as fault:
            raise Problem(Code.MALFORMED_FORM, str(fault)) from fault
        return self._pieces

    def finish(self) -> None:
        if not self._ended:
            raise Problem(Code.MALFORMED_FORM, "the form ends before its last boundary")
        if not self._found:
            raise Problem(Code.MISSING_FILE)

    def _begin(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        if options.get(b"name") != FIELD.encode():
            return
        if self._found:
            raise Problem(Code.SEVERAL_FILES)
        self._inside = self._found = True
        self.file_name = _named_in(self._disposition)

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._pieces.append(memoryview(data)[start:end])

    def _end_part(self) -> None:
        self._inside = False

    def _end(self) -> None:
        self._ended = True


def _named_in(disposition: bytes) -> str | None:
    """Find the file name in a Content-Disposition header: its last part, made harmless, or None."""
    _, options = parse_options_header(disposition.decode("latin-1"))
    raw = options.get(b"filename", b"")
    # Browsers write a quote and line ends as %22, %0D and %0A, and nothing else in percent signs.
    raw = re.sub(rb"%(22|0[aAdD])", lambda escape: unquote_to_bytes(escape[0]), raw)
    return tame_name(raw.decode(errors="replace"))


def tame_name(name: str) -> str | None:
    """Keep the last part of a path, without control characters, at most 255 characters; None if nothing is left."""
    last = re.split(r"[/\\]", _CONTROL.sub("", name))[-1].strip()
    return None if last in {"", ".", ".."} else last[:_LONGEST_NAME]
