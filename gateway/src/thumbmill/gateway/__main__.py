"""``gateway``: the HTTP API of Thumbmill."""

import argparse
import asyncio
import resource
import signal
import socket
import sys

import structlog
import uvicorn
import uvloop
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from thumbmill.core.build_info import get_version, publish_build_info
from thumbmill.core.errors import DependencyRejected
from thumbmill.core.service import logs
from thumbmill.core.service.listen_addresses import address_of, listen
from thumbmill.core.settings import load_or_exit, masked
from thumbmill.gateway.api.app import create_app
from thumbmill.gateway.container import create_services
from thumbmill.gateway.http.connections import ConnectionLimiter
from thumbmill.gateway.http.protocol import protocol_for
from thumbmill.gateway.live.hub import Hub
from thumbmill.gateway.settings import Settings

log = structlog.get_logger()

SHUTDOWN_SECONDS = 20  # for running requests to end
KEEP_ALIVE_SECONDS = 30
BACKLOG = 2048
SPARE_FILES = 256  # for connections to Postgres, RabbitMQ and MinIO, and files of the process itself


def main() -> None:
    """Load the settings and serve until SIGTERM or SIGINT."""
    _parser().parse_args()
    settings = load_or_exit(Settings)
    logs.configure(settings, "gateway")
    publish_build_info("gateway")
    log.info("settings", **masked(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # uvicorn shuts down first, then raises the signal again
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_serve(settings)))


async def _serve(settings: Settings) -> int:
    async with create_services(settings) as services:
        try:
            unavailable = await services.readiness.check_startup()
            listeners = _listen(settings.gateway_host, settings.gateway_port)
        except (DependencyRejected, OSError) as error:
            log.critical("startup_failed", error=str(error))
            return 1
        _raise_open_file_limit(settings.max_connections)
        for message in unavailable.values():
            log.warning("dependency_unavailable", error=message)
        config = uvicorn.Config(
            create_app(services),
            http=protocol_for(ConnectionLimiter(settings.max_connections)),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # see http/forwarded_headers.py
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        addresses = ", ".join(f"http://{address_of(listener)}" for listener in listeners)
        log.info("serving", address=addresses, docs="/docs")
        await _Server(config, services.hub).serve(sockets=listeners)
    return 0


class _Server(uvicorn.Server):
    """Ends the streams first when it stops: uvicorn would wait for them as for responses that end on their own."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        await super().shutdown(sockets)


def _raise_open_file_limit(connections: int) -> None:
    """Raise the limit of open files: each client connection needs a socket, and one to the object store."""
    wanted = 2 * connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < 2 * connections + SPARE_FILES:
        log.warning(
            "open_files_limited", limit=wanted, advice="lower MAX_CONNECTIONS, or raise the limit (ulimit -n)"
        )


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listen on all addresses of the host. Raise an OSError that names the settings to change."""
    try:
        return listen(host, port, BACKLOG)
    except OSError as error:
        raise OSError(
            f"cannot listen on {host}, port {port}: {error.strerror}: change GATEWAY_PORT or GATEWAY_HOST"
        ) from error


def _parser() -> argparse.ArgumentParser:
    lines = [
        f"  {name.upper():26} {field.description}{_default(field)}" for name, field in Settings.model_fields.items()
    ]
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="HTTP API of Thumbmill: uploads, status and thumbnails.",
        epilog="environment variables (NAME_FILE reads the value of NAME from a file):\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=get_version())
    return parser


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return " (required)"
    return f" (default: {field.default})" if field.default and not isinstance(field.default, SecretStr) else ""


if __name__ == "__main__":
    main()
