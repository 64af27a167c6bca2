"""The framing of multipart bodies (RFC 2046, 5.1), taken apart as it comes.

It keeps only what may be the beginning of a delimiter, or a part's headers; a part's content goes out as views of
what came in. Preamble and epilogue are passed over, delimiters may be padded, headers folded. A line that goes on
behind the boundary is content: nobody's picture is cut for it.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto

MAX_BOUNDARY_BYTES = 256  # bytes; RFC 2046 allows 70
MAX_HEADERS_BYTES = 16 * 1024  # bytes of one part
MAX_PADDING_BYTES = 256  # bytes behind a boundary

_BREAK = re.compile(rb"[\r\n]")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)


class MultipartError(ValueError):
    """The body is no multipart body; the text says why."""


class Event(Enum):
    """What comes beside headers and content."""

    END_OF_PART = auto()
    END = auto()


Headers = Mapping[str, bytes]  # names in lower case; the first of a name counts


class MultipartParser:
    """Takes a body apart. Until ``Event.END`` has come, it is not complete."""

    def __init__(self, boundary: bytes) -> None:
        """Prepare for a boundary. Raises FramingError for one that can't be."""
        if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES or boundary.rstrip() != boundary or _BREAK.search(boundary):
            raise MultipartError(
                f"a boundary has 1 to {MAX_BOUNDARY_BYTES} bytes, no line break, and no space behind"
            )
        self._line = b"\r\n--" + boundary
        escaped = re.escape(self._line)
        self._delimiter = re.compile(rb"%s(--|[ \t]{0,%d}(?=\r\n))" % (escaped, MAX_PADDING_BYTES))
        # What may become a delimiter with what comes next: the line as a whole, and its padding.
        self._unfinished = re.compile(rb"%s(?:-|[ \t]{0,%d}\r?)\Z" % (escaped, MAX_PADDING_BYTES))
        # A delimiter begins with a line's end, so the body is read as if one came before it.
        self._held: bytes | None = b"\r\n"
        self._searched = 0  # bytes of what is held in which headers do not end
        self._in_headers = False
        self._in_part = False
        self._skip = 0  # bytes at the beginning that are not the part's

    def feed(self, data: bytes) -> Iterator[Headers | memoryview | Event]:
        """Give what these bytes bring: headers, content, events. Raises FramingError."""
        if self._held is None:  # it has ended; this is the epilogue
            return
        data = self._held + data if self._held else data
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
                yield Event.END_OF_PART
            if found[1] == b"--":
                self._held = None
                yield Event.END
                return
            start, self._in_headers, self._in_part = found.end(), True, False
        self._held = data[start:]

    def _find_end_of_headers(self, data: bytes, start: int) -> int:
        end = data.find(b"\r\n\r\n", start + self._searched)
        self._searched = max(0, len(data) - start - 3) if end < 0 else 0
        if (len(data) if end < 0 else end) - start > MAX_HEADERS_BYTES:
            raise MultipartError(f"a part's headers are longer than {MAX_HEADERS_BYTES} bytes")
        return end

    def _safe_end(self, data: bytes, start: int) -> int:
        """Find where something begins that may become a delimiter, or else the end."""
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
            raise MultipartError("a part has a line among its headers that is none")
        headers.setdefault(match[1].decode().lower(), match[2].strip(b" \t"))
    return headers
