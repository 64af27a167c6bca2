"""The database's schema: numbered files, forward only, applied by ``status-tracker migrate``."""

from dataclasses import dataclass
from importlib.resources import files

from thumbmill.core.errors import DependencyRejected
from thumbmill.tracker.db.connection import Connection, connect, translate_errors

ROLES = ("status_tracker", "gateway", "key_keeper")
_LOCK = 0x7468756D62  # an arbitrary number that nothing else uses


@dataclass(frozen=True)
class Migration:
    """One step; numbers begin at 1 and have no gap."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Return this program's migrations, in order."""
    found = sorted((files("thumbmill.tracker.db") / "sql" / "migrations").iterdir(), key=lambda path: path.name)
    return [
        Migration(int(path.name[:4]), path.name.removesuffix(".sql"), path.read_text())
        for path in found
        if path.name.endswith(".sql")
    ]


def migrate(url: str) -> list[str]:
    """Apply the missing migrations, all or none, and return their names.

    Concurrent runs wait for each other. Raise DependencyUnavailable or DependencyRejected.
    """
    opened = connect(url, "status-tracker migrate", variable="MIGRATION_DATABASE_URL")
    with translate_errors(), opened as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        _require_roles(connection)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (number integer PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now())"
        )
        pending = [step for step in migrations() if step.number > _version(connection)]
        for step in pending:
            connection.execute(step.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name) VALUES (%s, %s)", [step.number, step.name]
            )
    return [step.name for step in pending]


def check_version(url: str) -> None:
    """Raise DependencyRejected unless the database has this program's schema, or DependencyUnavailable."""
    expected = migrations()[-1].number
    with translate_errors(), connect(url, "status-tracker") as connection:
        known = connection.execute("SELECT to_regclass('schema_migrations') AS present").fetchone()
        found = _version(connection) if known and known["present"] else 0
    if found < expected:
        advice = "run `status-tracker migrate` with the owner's MIGRATION_DATABASE_URL"
        raise DependencyRejected("postgres", f"the schema is at {found}, this program needs {expected}: {advice}")
    if found > expected:
        advice = "install the version that migrated it"
        raise DependencyRejected(
            "postgres", f"the schema is at {found}, newer than this program's {expected}: {advice}"
        )


def _version(connection: Connection) -> int:
    row = connection.execute("SELECT coalesce(max(number), 0) AS version FROM schema_migrations").fetchone()
    return int(row["version"]) if row else 0


def _require_roles(connection: Connection) -> None:
    found = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
    missing = set(ROLES) - {row["rolname"] for row in found}
    if missing:
        names = ", ".join(sorted(missing))
        raise DependencyRejected("postgres", f"role {names} does not exist: run infra/postgres/roles.sh first")
