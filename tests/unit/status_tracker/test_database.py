"""Which fault of psycopg becomes which of ours; those that Postgres itself makes are in the integration tests."""

import psycopg
import pytest
from psycopg import errors

from pipeline.outcomes import DependencyAway, Refused
from status_tracker.database import ConflictError, UnstorableError, translated


@pytest.mark.parametrize(
    ("fault", "ours"),
    [
        (psycopg.DatabaseError("lost synchronization with server"), DependencyAway),
        (psycopg.OperationalError("the connection is lost"), DependencyAway),
        (psycopg.InternalError("got no result from the query"), DependencyAway),
        (errors.IdleInTransactionSessionTimeout("terminating connection"), DependencyAway),
        (errors.lookup("25P04")("terminating connection"), DependencyAway),
        (errors.UndefinedTable("no such table"), Refused),
        (errors.SerializationFailure("could not serialize"), ConflictError),
        (errors.InvalidTextRepresentation("no number"), UnstorableError),
        (psycopg.DataError("NUL bytes"), UnstorableError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_a_fault_is_told_by_what_it_means(fault, ours):
    with pytest.raises(ours), translated():
        raise fault
