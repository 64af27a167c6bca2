"""Listening sockets for IPv4 and IPv6."""

import errno
import socket

EVERYWHERE = "::"  # every address of the machine, IPv4 and IPv6


def listen(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listen on every address of a host: a name such as ``localhost`` has an IPv4 and an IPv6 address.

    ``::`` accepts IPv4 too, with one socket, if the machine supports that. Raise OSError.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    unsupported: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, *_, address in addresses):
        both = family == socket.AF_INET6 and host == EVERYWHERE and socket.has_dualstack_ipv6()
        try:
            listeners.append(socket.create_server(address[:2], family=family, backlog=backlog, dualstack_ipv6=both))
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                for listener in listeners:
                    listener.close()
                raise
            unsupported = error  # a machine without IPv6 may still resolve names to IPv6 addresses
    if unsupported and not listeners:
        raise unsupported
    return listeners


def bare_host(host: str) -> str:
    """Return a host without the brackets that URLs have around an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def address_of(listener: socket.socket) -> str:
    """Return a socket's host and port, in the form of URLs."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
