"""Which errors of psycopg are a 503 for clients, and which are bugs of the gateway."""

import asyncio

import psycopg
import pytest
from psycopg import errors

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import ImageRepository


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.DatabaseError("lost synchronization with server"), DependencyUnavailable),
        (psycopg.InternalError("got no result from the query"), DependencyUnavailable),
        (errors.DataCorrupted("invalid page in block 3"), DependencyUnavailable),
        (psycopg.InterfaceError("the connection is closed"), DependencyUnavailable),
        (errors.UndefinedTable("no such table"), DependencyUnavailable),
        (errors.InsufficientPrivilege("permission denied"), DependencyRejected),
        (errors.SyntaxError("syntax error"), errors.SyntaxError),
        (psycopg.DataError("NUL bytes"), psycopg.DataError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_errors_of_psycopg_are_mapped(monkeypatch, error, expected):
    async def fail(*_):
        raise error

    monkeypatch.setattr(Database, "_fetch", fail)

    async def check():
        await ImageRepository(Database("postgresql://user@127.0.0.1:1/nothing")).check()

    with pytest.raises(expected) as raised:
        asyncio.run(check())
    assert isinstance(raised.value, DependencyRejected) == (expected is DependencyRejected)
