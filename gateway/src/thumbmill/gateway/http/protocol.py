"""HTTP/1.1 as strangers may speak it: uvicorn's protocol on httptools, with limits that uvicorn does not have.

Size and number of header and trailer fields, the time until a request's head is complete, the requests that may
wait on one connection, the time for what nobody reads, and the number of connections. What is past a limit is
answered with a problem and the connection closed; where an earlier request's answer is still on its way, it is
closed after that without a word, which the client would take for that answer. How fast a body must come is judged
where it is read (``pace.py``), since time in which we do not read is not the client's.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from thumbmill.gateway.http.connections import ConnectionLimiter, DrainQueue
from thumbmill.gateway.metrics import CONNECTIONS_REJECTED
from thumbmill.gateway.problems import Code, Problem

MAX_HEAD_BYTES = 64 * 1024  # of a request's head, and of its trailer
MAX_FIELDS = 100  # in a head, and in a trailer
HEAD_TIMEOUT_SECONDS = 10  # from its first byte, or the connection's begin
MAX_PIPELINED = 10  # requests that wait for the answers to earlier ones on their connection
DRAIN_TIMEOUT_SECONDS = 30  # for the rest of a body that was answered before its end
MAX_DRAINS = 4  # such bodies are read at the same time
WRITE_TIMEOUT_SECONDS = 30  # for a client to take what the socket's buffer holds
CLOSE_TIMEOUT_SECONDS = (
    2  # for a client to read why it was refused: closed at once, unread input would reset the connection
)
_PIECE_BYTES = 64 * 1024


class _Refused(Exception):  # noqa: N818 - it carries an answer, not an error
    """Raised out of a parser's callback, so that the parser stops."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limiter: ConnectionLimiter,
        drains: DrainQueue,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limiter = limiter
        self._drains = drains
        self._read_timer: TimerHandle | None = None  # for what the client sends
        self._write_timer: TimerHandle | None = None  # for what it takes
        self._ignores_input = False  # what still comes is not read any more
        self._in_head = True  # between two requests counts as the next one's head
        self._unparsed_bytes = 0  # since the parser last made something of them
        self._field_bytes = self._fields = 0  # of the head or the trailer

    # --- asyncio's callbacks -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(HEAD_TIMEOUT_SECONDS, self._on_late_head)
        if not self._limiter.enter(self):
            self._refuse(Problem(Code.TOO_MANY_CONNECTIONS))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        self._limiter.leave(self)
        self._drains.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignores_input:
            return
        self._unset_keepalive_if_required()
        if self._in_head and self._read_timer is None:
            self._expect(HEAD_TIMEOUT_SECONDS, self._on_late_head)
        for at in range(0, len(data), _PIECE_BYTES):
            if self._ignores_input:
                return
            self._feed(data[at : at + _PIECE_BYTES])

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_SECONDS, self.abort_connection)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    # --- the parser's callbacks ----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _Refused(Problem(Code.TOO_MANY_REQUESTS))
        super().on_message_begin()
        self._in_head = True
        self._field_bytes = self._fields = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + len(b": \r\n"))
        if self._in_head:  # a trailer's fields are read and dropped: nothing here has a use for them
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _Refused(Problem(Code.METHOD_NOT_ALLOWED))
            return  # to another protocol: this head is parsed once more without that, see _ignore_upgrade
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):  # RFC 9112, 3.2
            raise _Refused(Problem(Code.MALFORMED_REQUEST, "a request names one host, in one Host field"))
        super().on_headers_complete()
        self._in_head = False
        self._note_progress()
        self._field_bytes = self._fields = 0
        self._stop_timer()
        self._limiter.note_busy(self)

    def on_body(self, body: bytes) -> None:
        self._note_progress()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_head = True
        self._note_progress()
        self._stop_timer()
        self._drains.leave(self)
        super().on_message_complete()
        self._note_idle_if_so()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head and not self.pipeline:  # answered before its body's end: the rest is read and dropped
            self._expect(DRAIN_TIMEOUT_SECONDS, self.abort_connection)
            if not self._drains.enter(self):
                self.flow.pause_reading()
        self._note_idle_if_so()

    # -------------------------------------------------------------------------------------------------------

    def abort_connection(self) -> None:
        """Close without a word."""
        self._ignores_input = True
        self._stop_timers()
        self.transport.abort()

    def resume(self) -> None:
        """Read on, for it is this connection's turn."""
        self.flow.resume_reading()

    def _feed(self, piece: bytes) -> None:
        self._unparsed_bytes += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            refused = error.__context__
            if isinstance(refused, _Refused):
                self._refuse(refused.problem)
            else:
                self._refuse(Problem(Code.MALFORMED_REQUEST, str(error)))
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self._ignores_input:
            self._refuse(Problem(Code.HEADERS_TOO_LARGE))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Take the request as if it did not offer another protocol, which a server may (RFC 9110, 7.8).

        llhttp would take the body that follows for that protocol, and the segment after it for a request.
        """
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._feed(b"".join([*head, b"\r\n", rest]))

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._fields > MAX_FIELDS or self._field_bytes > MAX_HEAD_BYTES:
            raise _Refused(Problem(Code.HEADERS_TOO_LARGE))

    def _note_progress(self) -> None:
        self._unparsed_bytes = 0

    def _note_idle_if_so(self) -> None:
        if self._in_head and not self.pipeline and (self.cycle is None or self.cycle.response_complete):
            self._limiter.note_idle(self)

    def _on_late_head(self) -> None:
        self._read_timer = None
        if self._unparsed_bytes == 0 and (self.cycle is None or self.cycle.response_complete):
            self.abort_connection()  # it said nothing at all
        else:
            self._refuse(Problem(Code.REQUEST_TIMEOUT))

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem if that cannot be taken for another request's answer, and close in any case."""
        self._ignores_input = True
        self._stop_timer()
        CONNECTIONS_REJECTED.labels(problem.code.value).inc()
        cycle = self.cycle
        if cycle is None or (self._in_head and cycle.response_complete):
            self._answer(problem)
        elif self._in_head:  # complete requests came before this one: they are answered, and then it is over
            cycle.keep_alive = False
        elif cycle.response_started or self.pipeline:  # what is wrong is in the body of a request with an answer
            self._close_soon()
        else:
            cycle.disconnected = True  # its handler is waiting for a body that will not come
            cycle.message_event.set()
            self._answer(problem)

    def _answer(self, problem: Problem) -> None:
        response = problem.response()
        fields = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = [name + b": " + value + b"\r\n" for name, value in fields]
        body = bytes(response.body)
        self.transport.write(b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", body]))
        self._close_soon()

    def _close_soon(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._expect(CLOSE_TIMEOUT_SECONDS, self.abort_connection)

    def _expect(self, seconds: float, on_late: Callable[[], None]) -> None:
        self._stop_timer()
        self._read_timer = self.loop.call_later(seconds, on_late)

    def _stop_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _stop_timers(self) -> None:
        self._stop_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def protocol_for(limiter: ConnectionLimiter) -> type[asyncio.Protocol]:
    """Return what uvicorn calls to make a connection's protocol; all of them share their peers and turns."""
    drains = DrainQueue(MAX_DRAINS)

    class SharedProtocol(LimitedProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, limiter=limiter, drains=drains)

    return cast("type[asyncio.Protocol]", SharedProtocol)
