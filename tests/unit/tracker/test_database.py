"""Which fault of psycopg becomes which of ours; those that Postgres itself makes are in the integration tests."""

import psycopg
import pytest
from psycopg import errors

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.tracker.db.connection import ConflictError, InvalidValueError, translate_errors


@pytest.mark.parametrize(
    ("fault", "ours"),
    [
        (psycopg.DatabaseError("lost synchronization with server"), DependencyUnavailable),
        (psycopg.OperationalError("the connection is lost"), DependencyUnavailable),
        (psycopg.InternalError("got no result from the query"), DependencyUnavailable),
        (errors.IdleInTransactionSessionTimeout("terminating connection"), DependencyUnavailable),
        (errors.lookup("25P04")("terminating connection"), DependencyUnavailable),
        (errors.UndefinedTable("no such table"), DependencyRejected),
        (errors.SerializationFailure("could not serialize"), ConflictError),
        (errors.InvalidTextRepresentation("no number"), InvalidValueError),
        (psycopg.DataError("NUL bytes"), InvalidValueError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_a_fault_is_told_by_what_it_means(fault, ours):
    with pytest.raises(ours), translate_errors():
        raise fault
