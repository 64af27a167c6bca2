"""The status tracker: events in, rows in Postgres out."""
