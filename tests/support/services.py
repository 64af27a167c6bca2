"""The names of the services, and a free port for another process of one."""

from devstack.ports import free_ports

SERVICES = ("gateway", "thumbnailer", "status-tracker")
PORTS = {"gateway": "GATEWAY_PORT", "thumbnailer": "HEALTH_PORT", "status-tracker": "HEALTH_PORT"}  # variables


def free_port() -> str:
    """Return a free port for another process."""
    return str(free_ports()["GATEWAY_PORT"])
