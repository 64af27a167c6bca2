"""The status tracker: facts in, rows in Postgres out."""
