"""A system of a benchmark's own: from empty stores, on free ports, and gone afterwards."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from minio import Minio

from devstack.ports import free_ports
from devstack.postgres import OWNER, database_url, forget_libpq_variables
from devstack.stack import Stack

QUIET = {"LOG_FORMAT": "json", "LOG_LEVEL": "warning", "MAX_TICKETS_PER_MINUTE": "0"}


@contextmanager
def running(settings: dict[str, str]) -> Iterator[Stack]:
    """Give a running system, with settings for its services over quiet logs."""
    forget_libpq_variables()
    directory = Path(tempfile.mkdtemp(prefix="thumbmill-bench-", dir="/var/tmp"))
    directory.chmod(0o755)  # the servers' account has to pass
    stack = Stack(directory, free_ports(), QUIET | settings, log=say)
    try:
        stack.up()
        yield stack
    finally:
        stack.close()
        shutil.rmtree(directory, ignore_errors=True)


def say(line: str) -> None:
    """Tell how far it is, where it is not in the figures' way."""
    print(line, file=sys.stderr, flush=True)


def gateway_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.installation.ports['GATEWAY_PORT']}"


def open_database(stack: Stack) -> psycopg.Connection:
    """Ask the database as its owner."""
    url = database_url(stack.installation, OWNER, stack.installation.secrets["POSTGRES_PASSWORD"])
    return psycopg.connect(url, autocommit=True)


def open_store(stack: Stack) -> Minio:
    """Speak S3 as root."""
    login = (stack.installation.secrets["MINIO_ROOT_USER"], stack.installation.secrets["MINIO_ROOT_PASSWORD"])
    return Minio(f"127.0.0.1:{stack.installation.ports['MINIO_PORT']}", *login, secure=False, region="us-east-1")
