"""How errors of psycopg are translated; those that Postgres raises are in the integration tests."""

import psycopg
import pytest
from psycopg import errors

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.tracker.db.connection import ConflictError, InvalidValueError, translate_errors


@pytest.mark.parametrize(
    ("error", "expected"),
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
def test_an_error_of_psycopg_is_translated_by_its_meaning(error, expected):
    with pytest.raises(expected), translate_errors():
        raise error
