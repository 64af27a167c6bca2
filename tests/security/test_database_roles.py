"""The database roles of services have no privileges beyond their work."""

from contextlib import closing

import psycopg
import pytest
from psycopg import errors, sql

SECRETS = {
    "status_tracker": "STATUS_TRACKER_DATABASE_PASSWORD",
    "gateway": "GATEWAY_DATABASE_PASSWORD",
    "key_keeper": "KEY_KEEPER_DATABASE_PASSWORD",
}


@pytest.fixture(params=SECRETS)
def role(request):
    return request.param


def connect(system, role, database="thumbmill"):
    url = (
        f"postgresql://{role}:{system.secrets[SECRETS[role]]}@127.0.0.1:{system.ports['POSTGRES_PORT']}/{database}"
    )
    return closing(psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off"))


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_a_role_connects_to_no_other_database(system, role, database):
    with (
        pytest.raises(psycopg.OperationalError, match="permission denied for database"),
        connect(system, role, database),
    ):
        pass


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMPORARY TABLE mine (x text)",
        "CREATE TABLE public.mine (x text)",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION plperl",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER SYSTEM SET log_statement = 'all'",
        "SELECT rolpassword FROM pg_authid",
        "DROP TABLE images",
        "TRUNCATE events",
        "ALTER TABLE events ADD COLUMN mine text",
        "UPDATE schema_migrations SET name = 'mine'",
    ],
)
def test_a_role_has_only_the_privileges_that_it_needs(system, role, statement):
    with (
        connect(system, role) as connection,
        pytest.raises((errors.InsufficientPrivilege, errors.FeatureNotSupported)),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    "table",
    [
        *("images", "events", "progress", "reconciliation", "operator_requests", "schema_migrations"),
        *("image_counts", "redriven", "reconciled", "reconciliation_passes", "workers", "queues", "dead_letters"),
        *("api_keys", "api_key_events"),
    ],
)
def test_the_gateway_reads_views_and_no_tables(system, table):
    with connect(system, "gateway") as connection:
        for statement in ("SELECT * FROM {}", "INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL(statement).format(sql.Identifier(table)))
        connection.execute("SELECT 1 FROM image_status LIMIT 1")
        connection.execute("SELECT 1 FROM image_timeline LIMIT 1")
        connection.execute("SELECT 1 FROM tracker_progress")
