"""A separate system for a benchmark: empty stores, free ports, removed afterwards."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from minio import Minio

from devstack.ports import free_ports
from devstack.postgres import OWNER, database_url, forget_libpq_variables
from devstack.stack import Stack

QUIET = {"LOG_FORMAT": "json", "LOG_LEVEL": "warning", "MAX_TICKETS_PER_MINUTE": "0"}


@contextmanager
def running_system(
    settings: dict[str, str], *, prepare: Callable[[Stack], None] = lambda _: None
) -> Iterator[Stack]:
    """Start a system with quiet logs and these settings, and stop it after the block.

    ``prepare`` may change its processes before they start.
    """
    forget_libpq_variables()
    directory = Path(tempfile.mkdtemp(prefix="thumbmill-bench-", dir="/var/tmp"))
    directory.chmod(0o755)  # the servers' account has to enter it
    stack = Stack(directory, free_ports(), QUIET | settings, log=log)
    prepare(stack)
    try:
        stack.up()
        yield stack
    finally:
        stack.close()
        shutil.rmtree(directory, ignore_errors=True)


def log(line: str) -> None:
    """Print a progress line to stderr, apart from the figures."""
    print(line, file=sys.stderr, flush=True)


def gateway_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.installation.ports['GATEWAY_PORT']}"


def open_database(stack: Stack) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the database as its owner."""
    url = database_url(stack.installation, OWNER, stack.installation.secrets["POSTGRES_PASSWORD"])
    return psycopg.connect(url, autocommit=True)


def open_store(stack: Stack) -> Minio:
    """Return a client of MinIO as root."""
    credentials = (stack.installation.secrets["MINIO_ROOT_USER"], stack.installation.secrets["MINIO_ROOT_PASSWORD"])
    return Minio(
        f"127.0.0.1:{stack.installation.ports['MINIO_PORT']}", *credentials, secure=False, region="us-east-1"
    )
