"""Which fault of psycopg the gateway's clients meet as 503, and which as a bug of ours."""

import asyncio

import psycopg
import pytest
from psycopg import errors

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import ImageRepository


@pytest.mark.parametrize(
    ("error", "ours"),
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
def test_a_fault_is_told_by_what_it_means(monkeypatch, error, ours):
    async def fail(*_):
        raise error

    monkeypatch.setattr(Database, "_fetch", fail)

    async def ask():
        await ImageRepository(Database("postgresql://nobody@127.0.0.1:1/nothing")).check()

    with pytest.raises(ours) as raised:
        asyncio.run(ask())
    assert isinstance(raised.value, DependencyRejected) == (ours is DependencyRejected)
