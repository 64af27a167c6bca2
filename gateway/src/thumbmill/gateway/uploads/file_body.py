"""The file in a request's body, pushed through as it comes: a form's field ``file``, or the bytes as they are.

Nothing is kept here: what comes in as network chunks goes out as views of them.
"""

from collections.abc import Mapping
from typing import Protocol

from thumbmill.gateway.http.content_disposition import read_file_name, read_parameters, read_text
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.multipart import Event, Headers, MultipartError, MultipartParser

FIELD = "file"
MAX_EXTRA_PARTS = 20  # beside the file
MAX_OVERHEAD_BYTES = 64 * 1024  # of other fields, headers, delimiters, preamble and epilogue


class FileBody(Protocol):
    """A body whose file comes piece by piece."""

    file_name: str | None

    def feed(self, data: bytes) -> list[memoryview]:
        """Take a chunk of the body and give what is the file's. Raises Problem."""

    def finish(self) -> None:
        """Make sure that the body was complete. Raises Problem."""


def open_file_body(headers: Mapping[str, str]) -> FileBody:
    """Choose how to read a body, by its headers. Raises Problem."""
    content_type, options = read_parameters(headers.get("content-type", "").encode("latin-1"))
    if content_type == "multipart/form-data":
        return FormBody(options.get("boundary", "").encode("latin-1", errors="replace"))
    if content_type.startswith("image/"):
        _, about = read_parameters(headers.get("content-disposition", "").encode("latin-1"))
        return RawBody(read_file_name(about))
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
    """A multipart form; fields other than ``file`` are passed over, of which there may be so many."""

    def __init__(self, boundary: bytes) -> None:
        if not boundary:
            raise Problem(Code.MALFORMED_FORM, "the content type names no boundary")
        try:
            self._parser = MultipartParser(boundary)
        except MultipartError as error:
            raise Problem(Code.MALFORMED_FORM, str(error)) from error
        self.file_name: str | None = None
        self._inside = self._found = self._ended = False
        self._parts = 0
        self._beside = 0  # bytes that are not the file's

    def feed(self, data: bytes) -> list[memoryview]:
        pieces: list[memoryview] = []
        self._beside += len(data)
        try:
            for event in self._parser.feed(data):
                match event:
                    case memoryview():
                        if self._inside:
                            pieces.append(event)
                            self._beside -= len(event)
                    case Event.END_OF_PART:
                        self._inside = False
                    case Event.END:
                        self._ended = True
                    case headers:
                        self._begin(headers)
        except MultipartError as error:
            raise Problem(Code.MALFORMED_FORM, str(error)) from error
        if self._beside > MAX_OVERHEAD_BYTES:
            raise Problem(Code.FORM_TOO_LARGE, f"more than {MAX_OVERHEAD_BYTES} bytes beside the file")
        return pieces

    def finish(self) -> None:
        if not self._ended:
            raise Problem(Code.MALFORMED_FORM, "the form ends before its last boundary; its lines end in CR LF")
        if not self._found:
            raise Problem(Code.MISSING_FILE)

    def _begin(self, headers: Headers) -> None:
        _, about = read_parameters(headers.get("content-disposition", b""))
        if read_text(about, "name") == FIELD:
            if self._found:
                raise Problem(Code.SEVERAL_FILES)
            self._inside = self._found = True
            self.file_name = read_file_name(about)
            return
        self._parts += 1
        if self._parts > MAX_EXTRA_PARTS:
            raise Problem(Code.FORM_TOO_LARGE, f"more than {MAX_EXTRA_PARTS} parts beside the file")
