"""The side port of a consumer: ``/livez``, ``/readyz`` and ``/metrics``."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Probe = Callable[[], str]  # what is wrong, or nothing


def serve(host: str, port: int, *, live: Probe, ready: dict[str, Probe]) -> ThreadingHTTPServer:
    """Answer probes in a thread until ``shutdown()``; ``/readyz`` names each dependency that is away.

    Raises OSError where the address is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/livez":
                    fault = live()
                    self._answer({"status": "stuck" if fault else "ok", "fault": fault}, ok=not fault)
                case "/readyz":
                    faults = {name: fault for name, probe in ready.items() if (fault := probe())}
                    self._answer({"status": "not ready" if faults else "ok", "away": faults}, ok=not faults)
                case "/metrics":
                    self._send(200, CONTENT_TYPE_LATEST, generate_latest())
                case _:
                    self._answer(
                        {"status": "not found", "paths": ["/livez", "/readyz", "/metrics"]},
                        ok=False,
                        code=404,
                    )

        def _answer(self, content: dict[str, object], *, ok: bool, code: int = 503) -> None:
            self._send(200 if ok else code, "application/json", json.dumps(content).encode() + b"\n")

        def _send(self, code: int, content_type: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every second: they are no news."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
