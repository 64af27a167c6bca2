"""The admin port of a consumer: ``/livez``, ``/readyz``, ``/metrics``, and JSON endpoints of the service.

A GET passes its query, a POST a small JSON object. A POST must declare ``application/json``: a web page in a
browser cannot send that to another origin without permission. Every client that reaches the port may use the
endpoints, so they must be harmless. Bind the port only to loopback or to the services' own network.
"""

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.service.listen_addresses import bare_host, listen

HealthCheck = Callable[[], str]  # returns what is wrong, or an empty text
ReadinessCheck = Callable[[], Mapping[str, str]]  # returns what is wrong, by the dependency that causes it
Json = Mapping[str, object]
# Takes parameters and returns JSON. Raises ValueError for invalid parameters, LookupError for what does not exist.
JsonEndpoint = Callable[[Json], Json]
Endpoints = Mapping[tuple[str, str], JsonEndpoint]  # by method and path

MAX_PARAMETERS_BYTES = 64 * 1024


class AdminServer(ThreadingHTTPServer):
    """The HTTP server, with what its handlers need."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], liveness: HealthCheck, readiness: ReadinessCheck, endpoints: Endpoints
    ) -> None:
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, *others = listen(*address, self.request_queue_size)  # one address is enough here
        for other in others:
            other.close()
        self.server_address = self.socket.getsockname()
        self.liveness, self.readiness, self.endpoints = liveness, readiness, endpoints


class _Handler(BaseHTTPRequestHandler):
    server: AdminServer
    timeout = 30  # seconds without a byte in either direction

    def do_GET(self) -> None:
        match self.path:
            case "/livez":
                error = self.server.liveness()
                self._respond({"status": "stuck" if error else "ok", "error": error}, 503 if error else 200)
            case "/readyz":
                errors = dict(self.server.readiness())
                status = "not ready" if errors else "ok"
                self._respond({"status": status, "unavailable": errors}, 503 if errors else 200)
            case "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, generate_latest())
            case _:
                query = urlsplit(self.path).query
                self._call_endpoint("GET", lambda: dict(parse_qsl(query)), 200)

    def do_POST(self) -> None:
        self._call_endpoint("POST", self._read_parameters, 202)

    def _call_endpoint(self, method: str, read_parameters: Callable[[], Json], success: int) -> None:
        endpoint = self.server.endpoints.get((method, urlsplit(self.path).path))
        if endpoint is None:
            self._respond_not_found()
            return
        try:
            self._respond(endpoint(read_parameters()), success)
        except DependencyUnavailable as error:
            self._respond({"status": "unavailable", "error": str(error)}, 503)
        except ValueError as error:
            self._respond({"status": "invalid request", "error": str(error)}, 400)
        except LookupError as error:
            self._respond({"status": "not found", "error": str(error)}, 404)

    def _read_parameters(self) -> Json:
        if self.headers.get_content_type() != "application/json":
            raise ValueError("send JSON, with Content-Type: application/json")
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= MAX_PARAMETERS_BYTES:
            raise ValueError(f"send at most {MAX_PARAMETERS_BYTES} bytes")
        parameters = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(parameters, dict):
            raise ValueError("send a JSON object")  # noqa: TRY004 - the client's value is wrong, not a type of this program
        return parameters

    def _respond_not_found(self) -> None:
        paths = ["/livez", "/readyz", "/metrics", *sorted({path for _, path in self.server.endpoints})]
        self._respond({"status": "not found", "paths": paths}, 404)

    def _respond(self, content: Json, code: int) -> None:
        self._send(code, "application/json", json.dumps(dict(content)).encode() + b"\n")

    def _send(self, code: int, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: health checks arrive every second."""


def serve(
    host: str, port: int, *, liveness: HealthCheck, readiness: ReadinessCheck, endpoints: Endpoints | None = None
) -> ThreadingHTTPServer:
    """Serve in threads until ``shutdown()``. Raise OSError if the address is in use."""
    server = AdminServer((bare_host(host), port), liveness, readiness, endpoints or {})
    Thread(target=server.serve_forever, name="admin", daemon=True).start()
    return server
