"""Requests for one object, over connections that are kept: what every image takes several of.

minio-py does all else. Its way through urllib3 and http.client takes 0.5 to 0.8 ms of CPU a request, this one a
third. It knows header-signed requests (AWS Signature Version 4) and HTTP/1.1 answers that tell their length, and no
more.
"""

import hashlib
import hmac
import select
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from urllib.parse import quote, urlsplit

CONNECT_SECONDS = 3
READ_SECONDS = 20  # between two bytes

_LINE_BYTES, _MOST_LINES = 16 * 1024, 200
_TOGETHER_BYTES = 64 * 1024  # a body up to this goes out with its header: one packet and one wake-up less
_NOTHING = hashlib.sha256(b"").hexdigest()
_UNSIGNED = "UNSIGNED-PAYLOAD"

Headers = Mapping[str, str]


class MalformedResponseError(ConnectionError):
    """What came back is no answer that we understand; the text says why."""


@dataclass(frozen=True)
class Credentials:
    """Who signs the requests."""

    access_key: str
    secret_key: str
    region: str


@dataclass
class Response:
    """An answer whose body is still to be read; header names are in lower case."""

    status: int
    headers: dict[str, str]
    remaining: int  # bytes of the body
    _reader: BufferedReader

    def read(self, amount: int = -1) -> bytes:
        """Read so many bytes of the body, all that is left by default; fewer only at its end. Raises OSError."""
        size = self.remaining if amount < 0 else min(amount, self.remaining)
        data = self._reader.read(size)
        self._note(len(data), size)
        return data

    def readinto(self, room: memoryview) -> int:
        """Fill the room, or as much of it as there is body left; give the number of bytes. Raises OSError."""
        size = min(len(room), self.remaining)
        self._note(self._reader.readinto(room[:size]), size)
        return size

    def _note(self, read: int, wanted: int) -> None:
        if read < wanted:
            raise MalformedResponseError(f"it broke off {self.remaining - read} bytes before its end")
        self.remaining -= read


class S3Client:
    """A client of one server; all threads of a process may use it."""

    def __init__(self, url: str, login: Credentials, *, connections: int, resend: bool) -> None:
        """Keep up to so many idle connections; ``resend`` what was lost with one that the server had closed."""
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._host = parts.netloc
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._login = login
        self._resend = resend
        self._idle: deque[_Connection] = deque(maxlen=connections)
        weakref.finalize(self, _close_all, self._idle)
        self._day_key = "", b""  # a day, and the key that signs on it

    @contextmanager
    def request(
        self, method: str, bucket: str, key: str, headers: Headers | None = None, body: bytes = b""
    ) -> Iterator[Response]:
        """Send a request and give the answer, to be read within the block.

        Raises OSError, and ValueError for a key or a header that cannot be sent.
        """
        request = self._sign(method, f"/{bucket}/{quote(key)}", dict(headers or {}), body)
        connection, answer = self._ask(method, request, body)
        try:
            yield answer
        finally:
            self._put_back(connection, answer)

    def _ask(self, method: str, request: bytes, body: bytes) -> "tuple[_Connection, Response]":
        kept = self._take_idle()
        if kept is not None:
            try:
                return kept, kept.ask(method, request, body)
            except ConnectionError:
                kept.close()
                if not self._resend:
                    raise
            except BaseException:
                kept.close()
                raise
        connection = self._connect()
        try:
            return connection, connection.ask(method, request, body)
        except BaseException:
            connection.close()
            raise

    def _take_idle(self) -> "_Connection | None":
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if connection.is_quiet:
                return connection
            connection.close()
        return None

    def _put_back(self, connection: "_Connection", answer: Response) -> None:
        if answer.remaining or answer.headers.get("connection", "").lower() == "close":
            connection.close()
        elif len(self._idle) < (self._idle.maxlen or 0):
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self) -> "_Connection":
        plain = socket.create_connection(self._address, CONNECT_SECONDS)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = self._tls.wrap_socket(plain, server_hostname=self._address[0]) if self._tls else plain
            secure.settimeout(READ_SECONDS)
        except BaseException:
            plain.close()
            raise
        return _Connection(secure)

    # --- signing: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html -----------------

    def _sign(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        digest = hashlib.sha256(body).hexdigest() if body else _NOTHING
        headers["host"] = self._host
        headers["x-amz-content-sha256"] = digest = _UNSIGNED if body and self._tls else digest
        headers["x-amz-date"] = now
        signed = sorted((name.lower(), value) for name, value in headers.items() if _is_signed(name))
        names = ";".join(name for name, _ in signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed)
        canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
        scope = f"{now[:8]}/{self._login.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(now[:8]), text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._login.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        if body or method == "PUT":
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()) or "  " in value:
                raise ValueError(f"{name} cannot be {value!r}")
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode()

    def _key_of(self, day: str) -> bytes:
        known, key = self._day_key
        if known != day:
            key = f"AWS4{self._login.secret_key}".encode()
            for part in (day, self._login.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key = day, key
        return key


def _is_signed(name: str) -> bool:
    return name == "host" or name.lower().startswith("x-amz-")


class _Connection:
    """A socket, used by one thread at a time."""

    def __init__(self, channel: socket.socket) -> None:
        self._socket = channel
        self._reader: BufferedReader = channel.makefile("rb")

    @property
    def is_quiet(self) -> bool:
        """Tell whether the server has neither hung up nor said anything unasked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def ask(self, method: str, request: bytes, body: bytes) -> Response:
        try:
            if len(body) <= _TOGETHER_BYTES:
                self._socket.sendall(request + body)
            else:
                self._socket.sendall(request)
                self._socket.sendall(body)
        except BrokenPipeError:  # a server may refuse a body before all of it is here: then its answer is
            pass
        answer = self._read_head(method)
        while answer.status < 200:  # what it says in between
            answer = self._read_head(method)
        return answer

    def _read_head(self, method: str) -> Response:
        version, _, rest = self._read_line().partition(" ")
        headers: dict[str, str] = {}
        while line := self._read_line():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
            if len(headers) > _MOST_LINES:
                raise MalformedResponseError("its header has no end")
        try:
            status = int(rest[:3])
            has_body = method != "HEAD" and status >= 200 and status not in {204, 304}
            left = int(headers["content-length"]) if has_body else 0
        except (ValueError, KeyError) as fault:
            raise MalformedResponseError(f"an answer without status or length: {fault}") from fault
        if version != "HTTP/1.1" or left < 0:
            raise MalformedResponseError(f"an answer in {version[:20]!r}")
        return Response(status, headers, left, self._reader)

    def _read_line(self) -> str:
        line = self._reader.readline(_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise MalformedResponseError(
                "it hung up" if len(line) < _LINE_BYTES else "a line of its header has no end"
            )
        return line.rstrip(b"\r\n").decode("latin-1")

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


def _close_all(connections: "deque[_Connection]") -> None:
    for connection in connections:
        connection.close()
