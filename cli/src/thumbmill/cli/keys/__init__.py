"""``thumbmill keys``: the API keys of clients, in Postgres."""
