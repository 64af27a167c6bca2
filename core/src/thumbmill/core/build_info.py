"""Version of the running program, for ``--version`` and as a metric."""

from importlib.metadata import version

from prometheus_client import Gauge

_BUILD_INFO = Gauge("thumbmill_build_info", "Version of the running program; always 1", ["version", "service"])


def get_version() -> str:
    """Return the version of this release; all packages of one release share it."""
    return version("thumbmill-core")


def publish_build_info(service: str) -> None:
    """Set the metric for this process."""
    _BUILD_INFO.labels(version=get_version(), service=service).set(1)
