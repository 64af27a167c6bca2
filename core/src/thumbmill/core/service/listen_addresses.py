"""The addresses on which a service listens."""

import errno
import socket

EVERYWHERE = "::"  # every address of the machine, of IPv4 and of IPv6


def listen(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listen on every address that a host has: a name such as ``localhost`` has one of each kind.

    ``::`` takes IPv4 too, as one socket, where the machine can. Raises OSError.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    fault: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, *_, address in found):
        both = family == socket.AF_INET6 and host == EVERYWHERE and socket.has_dualstack_ipv6()
        try:
            listeners.append(socket.create_server(address[:2], family=family, backlog=backlog, dualstack_ipv6=both))
        except OSError as refusal:
            if refusal.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                for listener in listeners:
                    listener.close()
                raise
            fault = refusal  # a machine without IPv6 may have it in its list of names
    if fault and not listeners:
        raise fault
    return listeners


def bare_host(host: str) -> str:
    """Return a host without the brackets in which URLs have IPv6 addresses."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def address_of(listener: socket.socket) -> str:
    """Return where a socket listens, as URLs have it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
