"""The names of our services, and a port for another process of one."""

from devstack.ports import free_ports

SERVICES = ("gateway", "thumbnailer", "status-tracker")
PORTS = {"gateway": "GATEWAY_PORT", "thumbnailer": "HEALTH_PORT", "status-tracker": "HEALTH_PORT"}  # variables


def free_port() -> str:
    """A port for a process that is to come in nobody's way."""
    return str(free_ports()["GATEWAY_PORT"])
