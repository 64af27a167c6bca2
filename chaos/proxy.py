"""A TCP proxy that injects network faults into a link."""

import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["pass", "stall-requests", "stall-responses", "delay", "cut", "reset"]

_DELAY_SECONDS = 0.3
_CUT_AFTER_BYTES = 4096
_CHUNK = 64 * 1024
_POLL_SECONDS = 0.1


@dataclass
class Proxy:
    """Forwards connections from its own port to the target; each connection has a thread."""

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
        """Stop listening and close all connections."""
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.target), 5) as server,
        ):
            forwarded = 0
            while not self._closed.is_set():
                ready, _, _ = select.select([client, server], [], [], _POLL_SECONDS)
                mode = self.mode
                if mode == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                for side in ready:
                    if mode == ("stall-requests" if side is client else "stall-responses"):
                        self._closed.wait(_POLL_SECONDS)  # it stays unread, as with a full TCP window
                        continue
                    data = side.recv(_CHUNK)
                    if not data:
                        return
                    if mode == "delay":
                        self._closed.wait(_DELAY_SECONDS)
                    forwarded += len(data)
                    if mode == "cut" and forwarded > _CUT_AFTER_BYTES:
                        return
                    (server if side is client else client).sendall(data)
