"""The file in a request body, parsed as it arrives: the field ``file`` of a form, or the raw bytes.

Nothing is buffered here: each network chunk is returned as views of the file's bytes in it.
"""

from collections.abc import Mapping
from typing import Protocol

from thumbmill.gateway.http.content_disposition import read_file_name, read_parameters, read_text
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.multipart import Headers, Marker, MultipartError, MultipartParser

FIELD = "file"
MAX_EXTRA_PARTS = 20  # in addition to the file
MAX_OVERHEAD_BYTES = 64 * 1024  # other fields, headers, delimiters, preamble and epilogue


class FileBody(Protocol):
    """A body whose file arrives in pieces."""

    file_name: str | None

    def feed(self, data: bytes) -> list[memoryview]:
        """Parse a chunk of the body and return the file's bytes in it. Raise Problem."""

    def finish(self) -> None:
        """Raise Problem if the body is not complete."""


def open_file_body(headers: Mapping[str, str]) -> FileBody:
    """Return the parser for a body with these headers. Raise Problem."""
    content_type, options = read_parameters(headers.get("content-type", "").encode("latin-1"))
    if content_type == "multipart/form-data":
        return FormBody(options.get("boundary", "").encode("latin-1", errors="replace"))
    if content_type.startswith("image/"):
        _, parameters = read_parameters(headers.get("content-disposition", "").encode("latin-1"))
        return RawBody(read_file_name(parameters))
    raise Problem(Code.UNSUPPORTED_CONTENT_TYPE)


class RawBody:
    """A body that is the file itself."""

    def __init__(self, file_name: str | None) -> None:
        self.file_name = file_name

    def feed(self, data: bytes) -> list[memoryview]:
        return [memoryview(data)]

    def finish(self) -> None:
        """Do nothing: the server checks the length of a raw body."""


class FormBody:
    """A multipart form. Fields other than ``file`` are skipped, up to a limit."""

    def __init__(self, boundary: bytes) -> None:
        if not boundary:
            raise Problem(Code.MALFORMED_FORM, "the Content-Type has no boundary parameter")
        try:
            self._parser = MultipartParser(boundary)
        except MultipartError as error:
            raise Problem(Code.MALFORMED_FORM, str(error)) from error
        self.file_name: str | None = None
        self._in_file = self._has_file = self._is_complete = False
        self._extra_parts = 0
        self._overhead = 0  # bytes outside of the file

    def feed(self, data: bytes) -> list[memoryview]:
        pieces: list[memoryview] = []
        self._overhead += len(data)
        try:
            for event in self._parser.feed(data):
                match event:
                    case memoryview():
                        if self._in_file:
                            pieces.append(event)
                            self._overhead -= len(event)
                    case Marker.END_OF_PART:
                        self._in_file = False
                    case Marker.END:
                        self._is_complete = True
                    case part_headers:
                        self._start_part(part_headers)
        except MultipartError as error:
            raise Problem(Code.MALFORMED_FORM, str(error)) from error
        if self._overhead > MAX_OVERHEAD_BYTES:
            raise Problem(Code.FORM_TOO_LARGE, f"the limit is {MAX_OVERHEAD_BYTES} bytes besides the file")
        return pieces

    def finish(self) -> None:
        if not self._is_complete:
            raise Problem(
                Code.MALFORMED_FORM, "the form ends without its closing boundary; check that its lines end in CR LF"
            )
        if not self._has_file:
            raise Problem(Code.MISSING_FILE)

    def _start_part(self, headers: Headers) -> None:
        _, parameters = read_parameters(headers.get("content-disposition", b""))
        if read_text(parameters, "name") == FIELD:
            if self._has_file:
                raise Problem(Code.SEVERAL_FILES)
            self._in_file = self._has_file = True
            self.file_name = read_file_name(parameters)
            return
        self._extra_parts += 1
        if self._extra_parts > MAX_EXTRA_PARTS:
            raise Problem(Code.FORM_TOO_LARGE, f"the limit is {MAX_EXTRA_PARTS} parts besides the file")
