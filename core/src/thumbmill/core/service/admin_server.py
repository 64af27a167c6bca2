"""The side port of a consumer: ``/livez``, ``/readyz`` and ``/metrics``, and commands that an operator may give.

An order is a POST of a small JSON object, answered by lines of JSON while it is carried out. It has to say that it
is JSON, which a strange page in somebody's browser cannot say to this port. Whoever reaches the port may give
commands, so what they do has to be harmless; the port belongs on loopback or a network of the services alone.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from thumbmill.core.service.listen_addresses import bare_host, listen

HealthCheck = Callable[[], str]  # what is wrong, or nothing
Unavailable = Callable[[], Mapping[str, str]]  # what is wrong, by the dependency that is to blame
Lines = Generator[Mapping[str, object]]
Command = Callable[[Mapping[str, object]], Lines]  # raises ValueError for wishes that it does not understand

MAX_COMMAND_BYTES = 64 * 1024  # bytes


class AdminServer(ThreadingHTTPServer):
    """Listens, and knows what is asked for."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        liveness: HealthCheck,
        readiness: Unavailable,
        commands: Mapping[str, Command],
    ) -> None:
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, *others = listen(*address, self.request_queue_size)  # one is enough for probes
        for other in others:
            other.close()
        self.server_address = self.socket.getsockname()
        self.liveness, self.readiness, self.commands = liveness, readiness, commands


class _Handler(BaseHTTPRequestHandler):
    server: AdminServer
    timeout = 30  # seconds in which the other side neither sends nor takes anything

    def do_GET(self) -> None:
        match self.path:
            case "/livez":
                fault = self.server.liveness()
                self._answer({"status": "stuck" if fault else "ok", "error": fault}, 503 if fault else 200)
            case "/readyz":
                faults = dict(self.server.readiness())
                self._answer(
                    {"status": "not ready" if faults else "ok", "unavailable": faults}, 503 if faults else 200
                )
            case "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, generate_latest())
            case _:
                self._answer_not_found()

    def do_POST(self) -> None:
        order = self.server.commands.get(self.path)
        if order is None:
            self._answer_not_found()
            return
        try:
            lines = order(self._read_wishes())
        except ValueError as fault:
            self._answer({"status": "invalid command", "error": str(fault)}, 400)
            return
        with closing(lines):
            try:
                self._tell(lines)
            except OSError:
                pass  # the client has gone

    def _read_wishes(self) -> dict[str, object]:
        if self.headers.get_content_type() != "application/json":
            raise ValueError("give it as JSON, with Content-Type: application/json")
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= MAX_COMMAND_BYTES:
            raise ValueError(f"give at most {MAX_COMMAND_BYTES} bytes")
        wishes = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(wishes, dict):
            raise ValueError("give a JSON object")  # noqa: TRY004 - the client's words are wrong, not ours
        return wishes

    def _tell(self, lines: Lines) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        for line in lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")

    def _answer_not_found(self) -> None:
        paths = ["/livez", "/readyz", "/metrics", *self.server.commands]
        self._answer({"status": "not found", "paths": paths}, 404)

    def _answer(self, content: dict[str, object], code: int) -> None:
        self._send(code, "application/json", json.dumps(content).encode() + b"\n")

    def _send(self, code: int, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Probes come every second: they are no news."""


def serve(
    host: str,
    port: int,
    *,
    liveness: HealthCheck,
    readiness: Unavailable,
    commands: Mapping[str, Command] | None = None,
) -> ThreadingHTTPServer:
    """Answer in threads until ``shutdown()``; ``/readyz`` names each dependency that is away.

    ``commands``, by path: their lines are closed, as generators are, when nobody takes them any more.
    Raises OSError where the address is taken.
    """
    server = AdminServer((bare_host(host), port), liveness, readiness, commands or {})
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
