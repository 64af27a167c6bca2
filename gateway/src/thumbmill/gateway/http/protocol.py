"""HTTP/1.1 for untrusted clients: uvicorn's protocol on httptools, with limits that uvicorn does not have.

There are limits on the size and number of header and trailer fields, the time until the headers of a request are
complete, the pipelined requests on one connection, the time for input that nothing reads, and the number of
connections. A request beyond a limit is answered with a problem, and its connection is closed. If the response to
an earlier request is still being sent, the connection is closed after it without a problem, which the client
would take for that response. ``body_rate.py`` checks the rate of a body where it
is read, so that only the time in which the gateway reads counts.
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
from thumbmill.gateway.http.disconnects import ABORT
from thumbmill.gateway.metrics import CONNECTIONS_REJECTED
from thumbmill.gateway.problems import Code, Problem

MAX_HEAD_BYTES = 64 * 1024  # request line and headers; also the trailers
MAX_FIELDS = 100  # in the headers, and in the trailers
HEAD_TIMEOUT_SECONDS = 10  # from the first byte of a request, or from the start of the connection
MAX_PIPELINED = 10  # requests on one connection that wait for the responses to earlier ones
DRAIN_TIMEOUT_SECONDS = 30  # for the rest of a body after the response to its request
MAX_DRAINS = 4  # connections with such bodies that are read at the same time
WRITE_TIMEOUT_SECONDS = 30  # for a client to read what is in the socket's buffer
CLOSE_TIMEOUT_SECONDS = 2  # for a client to read a problem: closing at once with unread input resets the connection
_PIECE_BYTES = 64 * 1024


class _Rejected(Exception):  # noqa: N818 - it carries a problem
    """Raised in a callback of the parser to stop it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class LimitedProtocol(HttpToolsProtocol):
    """One connection of a client."""

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
        self._read_timer: TimerHandle | None = None  # ends the wait for input
        self._write_timer: TimerHandle | None = None  # ends the wait for the client to read
        self._ignores_input = False  # further input is dropped
        self._in_head = True  # also between two requests
        self._unparsed_bytes = 0  # since the parser last made progress
        self._field_bytes = self._fields = 0  # of the headers or the trailers

    # --- callbacks of asyncio -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_read_timer(HEAD_TIMEOUT_SECONDS, self._on_head_timeout)
        if not self._limiter.add(self):
            self._reject(Problem(Code.TOO_MANY_CONNECTIONS))

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        self._limiter.remove(self)
        self._drains.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignores_input:
            return
        self._unset_keepalive_if_required()
        if self._in_head and self._read_timer is None:
            self._start_read_timer(HEAD_TIMEOUT_SECONDS, self._on_head_timeout)
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

    # --- callbacks of the parser ----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _Rejected(Problem(Code.TOO_MANY_REQUESTS))
        super().on_message_begin()
        self.scope[ABORT] = self.abort_connection  # type: ignore[literal-required]
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
                raise _Rejected(Problem(Code.METHOD_NOT_ALLOWED))
            return  # an offer of another protocol: the request is parsed again without it, see _ignore_upgrade
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):  # RFC 9112, 3.2
            raise _Rejected(Problem(Code.MALFORMED_REQUEST, "a request must have exactly one Host header"))
        super().on_headers_complete()
        self._in_head = False
        self._note_progress()
        self._field_bytes = self._fields = 0
        self._cancel_read_timer()
        self._limiter.mark_busy(self)

    def on_body(self, body: bytes) -> None:
        self._note_progress()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_head = True
        self._note_progress()
        self._cancel_read_timer()
        self._drains.remove(self)
        super().on_message_complete()
        self._mark_idle_if_done()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head and not self.pipeline:  # answered before the end of its body: read and drop the rest
            self._start_read_timer(DRAIN_TIMEOUT_SECONDS, self.abort_connection)
            if not self._drains.add(self):
                self.flow.pause_reading()
        self._mark_idle_if_done()

    # -------------------------------------------------------------------------------------------------------

    def abort_connection(self) -> None:
        """Close without an answer."""
        self._ignores_input = True
        self._cancel_timers()
        self.transport.abort()

    def resume_reading(self) -> None:
        """Continue to read: this connection may be drained now."""
        self.flow.resume_reading()

    def _feed(self, piece: bytes) -> None:
        self._unparsed_bytes += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            rejected = error.__context__
            if isinstance(rejected, _Rejected):
                self._reject(rejected.problem)
            else:
                self._reject(Problem(Code.MALFORMED_REQUEST, str(error)))
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self._ignores_input:
            self._reject(Problem(Code.HEADERS_TOO_LARGE))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the request as if it did not offer another protocol, which a server may ignore (RFC 9110, 7.8).

        llhttp would take the following body for data of that protocol, and the segment after it for a request.
        """
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
        self._feed(b"".join([*head, b"\r\n", rest]))

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._fields > MAX_FIELDS or self._field_bytes > MAX_HEAD_BYTES:
            raise _Rejected(Problem(Code.HEADERS_TOO_LARGE))

    def _note_progress(self) -> None:
        self._unparsed_bytes = 0

    def _mark_idle_if_done(self) -> None:
        if self._in_head and not self.pipeline and (self.cycle is None or self.cycle.response_complete):
            self._limiter.mark_idle(self)

    def _on_head_timeout(self) -> None:
        self._read_timer = None
        if self._unparsed_bytes == 0 and (self.cycle is None or self.cycle.response_complete):
            self.abort_connection()  # the client sent nothing
        else:
            self._reject(Problem(Code.REQUEST_TIMEOUT))

    def _reject(self, problem: Problem) -> None:
        """Close the connection, and send the problem unless the client would take it for another response."""
        self._ignores_input = True
        self._cancel_read_timer()
        CONNECTIONS_REJECTED.labels(problem.code.value).inc()
        cycle = self.cycle
        if cycle is None or (self._in_head and cycle.response_complete):
            self._send_problem(problem)
        elif self._in_head:  # complete requests precede this one: answer them, then close
            cycle.keep_alive = False
        elif cycle.response_started or self.pipeline:  # the violation is in the body of a request that was answered
            self._close_soon()
        else:
            cycle.disconnected = True  # its handler waits for a body that will not arrive
            cycle.message_event.set()
            self._send_problem(problem)

    def _send_problem(self, problem: Problem) -> None:
        response = problem.response()
        fields = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = [name + b": " + value + b"\r\n" for name, value in fields]
        body = bytes(response.body)
        self.transport.write(b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", body]))
        self._close_soon()

    def _close_soon(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start_read_timer(CLOSE_TIMEOUT_SECONDS, self.abort_connection)

    def _start_read_timer(self, seconds: float, on_timeout: Callable[[], None]) -> None:
        self._cancel_read_timer()
        self._read_timer = self.loop.call_later(seconds, on_timeout)

    def _cancel_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _cancel_timers(self) -> None:
        self._cancel_read_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def protocol_for(limiter: ConnectionLimiter) -> type[asyncio.Protocol]:
    """Return the protocol class for uvicorn; all its connections share the limiter and the drain queue."""
    drains = DrainQueue(MAX_DRAINS)

    class SharedProtocol(LimitedProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, limiter=limiter, drains=drains)

    return cast("type[asyncio.Protocol]", SharedProtocol)
