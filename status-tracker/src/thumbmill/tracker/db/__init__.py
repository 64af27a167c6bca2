"""Postgres: connection, migrations, statements."""
