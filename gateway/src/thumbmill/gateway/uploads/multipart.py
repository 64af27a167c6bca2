"""A push parser for multipart bodies (RFC 2046, 5.1).

It buffers only what may be the start of a delimiter, and the headers of a part. The content of a part is returned
as views of the input. Preamble and epilogue are skipped, delimiters may be padded, and headers may be folded. A
line that continues after the boundary is content: an image with such bytes stays whole.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto

MAX_BOUNDARY_BYTES = 256  # RFC 2046 allows 70
MAX_HEADERS_BYTES = 16 * 1024  # of one part
MAX_PADDING_BYTES = 256  # of white space after a boundary

_BREAK = re.compile(rb"[\r\n]")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)


class MultipartError(ValueError):
    """The body is not a valid multipart body; the message gives the reason."""


class Marker(Enum):
    """Events besides headers and content."""

    END_OF_PART = auto()
    END = auto()


Headers = Mapping[str, bytes]  # names in lower case; the first header of a name wins


class MultipartParser:
    """Parses one body, which is complete when ``Marker.END`` was returned."""

    def __init__(self, boundary: bytes) -> None:
        """Create a parser for a boundary. Raise MultipartError if it is not valid."""
        if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES or boundary.rstrip() != boundary or _BREAK.search(boundary):
            raise MultipartError(
                f"a boundary has 1 to {MAX_BOUNDARY_BYTES} bytes, no line break and no space at its end"
            )
        self._line = b"\r\n--" + boundary
        escaped = re.escape(self._line)
        self._delimiter = re.compile(rb"%s(--|[ \t]{0,%d}(?=\r\n))" % (escaped, MAX_PADDING_BYTES))
        # What may become a delimiter with the next bytes: the whole line, and its padding.
        self._unfinished = re.compile(rb"%s(?:-|[ \t]{0,%d}\r?)\Z" % (escaped, MAX_PADDING_BYTES))
        # A delimiter starts with a line break, so the body is parsed as if one preceded it.
        self._buffer: bytes | None = b"\r\n"
        self._searched = 0  # bytes of the buffer that contain no end of headers
        self._in_headers = False
        self._in_part = False
        self._skip = 0  # bytes at the start that do not belong to the part

    def feed(self, data: bytes) -> Iterator[Headers | memoryview | Marker]:
        """Parse these bytes and yield headers, content and markers. Raise MultipartError."""
        if self._buffer is None:  # the body has ended; this is the epilogue
            return
        data = self._buffer + data if self._buffer else data
        start = 0
        while True:
            if self._in_headers:
                end = self._find_end_of_headers(data, start)
                if end < 0:
                    break
                yield _parse_headers(data[start:end])
                start, self._in_headers, self._in_part = end + 2, False, True
                self._skip = 2
            found = self._delimiter.search(data, start)
            stop = found.start() if found else self._safe_end(data, start)
            if self._in_part and stop - start > self._skip:
                yield memoryview(data)[start + self._skip : stop]
            if stop > start:
                self._skip = 0
            start = stop
            if found is None:
                break
            if self._in_part:
                yield Marker.END_OF_PART
            if found[1] == b"--":
                self._buffer = None
                yield Marker.END
                return
            start, self._in_headers, self._in_part = found.end(), True, False
        self._buffer = data[start:]

    def _find_end_of_headers(self, data: bytes, start: int) -> int:
        end = data.find(b"\r\n\r\n", start + self._searched)
        self._searched = max(0, len(data) - start - 3) if end < 0 else 0
        if (len(data) if end < 0 else end) - start > MAX_HEADERS_BYTES:
            raise MultipartError(f"a part's headers are longer than {MAX_HEADERS_BYTES} bytes")
        return end

    def _safe_end(self, data: bytes, start: int) -> int:
        """Return the start of what may become a delimiter, or else the end."""
        unfinished = self._unfinished.search(data, max(start, len(data) - len(self._line) - MAX_PADDING_BYTES - 1))
        if unfinished:
            return unfinished.start()
        line_end = data.rfind(b"\r", max(start, len(data) - len(self._line) + 1))
        return line_end if line_end >= 0 and self._line.startswith(data[line_end:]) else len(data)


def _parse_headers(block: bytes) -> Headers:
    headers: dict[str, bytes] = {}
    for line in _FOLD.sub(b"", block).split(b"\r\n"):
        if not line:
            continue
        match = _HEADER.fullmatch(line)
        if match is None:
            raise MultipartError("a part has an invalid header line")
        headers.setdefault(match[1].decode().lower(), match[2].strip(b" \t"))
    return headers
