"""Which fault of psycopg the gateway's clients meet as 503, and which as a bug of ours."""

import asyncio

import psycopg
import pytest
from psycopg import errors

from gateway.database import Database
from gateway.reader import Reader
from pipeline.outcomes import DependencyAway, Refused


@pytest.mark.parametrize(
    ("fault", "ours"),
    [
        (psycopg.DatabaseError("lost synchronization with server"), DependencyAway),
        (psycopg.InternalError("got no result from the query"), DependencyAway),
        (errors.DataCorrupted("invalid page in block 3"), DependencyAway),
        (psycopg.InterfaceError("the connection is closed"), DependencyAway),
        (errors.UndefinedTable("no such table"), DependencyAway),
        (errors.InsufficientPrivilege("permission denied"), Refused),
        (errors.SyntaxError("syntax error"), errors.SyntaxError),
        (psycopg.DataError("NUL bytes"), psycopg.DataError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_a_fault_is_told_by_what_it_means(monkeypatch, fault, ours):
    async def fail(*_):
        raise fault

    monkeypatch.setattr(Database, "_fetch", fail)

    async def ask():
        await Reader(Database("postgresql://nobody@127.0.0.1:1/nothing")).check()

    with pytest.raises(ours) as raised:
        asyncio.run(ask())
    assert isinstance(raised.value, Refused) == (ours is Refused)
