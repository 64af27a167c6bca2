"""A TCP proxy that can be told to misbehave: for the links between the services, where networks fail."""

import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["pass", "swallow-requests", "swallow-answers", "delay", "cut", "reset"]

_DELAY_SECONDS = 0.3
_CUT_AFTER_BYTES = 4096
_CHUNK = 64 * 1024
_TURN_SECONDS = 0.1


@dataclass
class Proxy:
    """Listens on a port of its own and passes on to another; each connection has a thread."""

    target: int
    mode: Mode = "pass"
    port: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _closed: threading.Event = field(default_factory=threading.Event)

    def start(self) -> "Proxy":
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def close(self) -> None:
        """Stop listening and hang up."""
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.target), 5) as server,
        ):
            passed = 0
            while not self._closed.is_set():
                ready, _, _ = select.select([client, server], [], [], _TURN_SECONDS)
                mode = self.mode
                if mode == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                for side in ready:
                    if mode == ("swallow-requests" if side is client else "swallow-answers"):
                        self._closed.wait(_TURN_SECONDS)  # it stays where it is, as with a filled window
                        continue
                    data = side.recv(_CHUNK)
                    if not data:
                        return
                    if mode == "delay":
                        self._closed.wait(_DELAY_SECONDS)
                    passed += len(data)
                    if mode == "cut" and passed > _CUT_AFTER_BYTES:
                        return
                    (server if side is client else client).sendall(data)
