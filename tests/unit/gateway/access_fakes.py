"""The access to the API without a database."""

from contextlib import suppress

from thumbmill.core.contracts.api_keys import make_key
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.access.authenticator import Authenticator
from thumbmill.gateway.access.keys import StaticKeys
from thumbmill.gateway.access.known_keys import KeyRow, KnownKeys
from thumbmill.gateway.access.sessions import SessionSigner


class KeysDatabase:
    """Stands for the view ``known_keys``; ``rows`` is None while it cannot be read."""

    def __init__(self, rows=()):
        self.rows = rows
        self.queries = 0

    async def fetch_all(self, _query, _parameters, row_type):
        self.queries += 1
        if self.rows is None:
            raise DependencyUnavailable("postgres", "away")
        if row_type is KeyRow:
            return list(self.rows)
        return [row_type(max((row.version for row in self.rows), default=0))]


def stored(key, *, version=1, tenant="", name="a program", scopes=("read",), expires_at=None, revoked_at=None):
    """Return the row of a key."""
    return KeyRow(key.id, tenant, name, list(scopes), key.digest, {}, expires_at, revoked_at, version)


def known_keys(rows=()):
    known = KnownKeys(KeysDatabase(rows))
    with suppress(StopIteration, DependencyUnavailable):
        known.refresh().send(None)  # it waits for nothing, and this may run within a loop
    return known


def authenticator(texts=(), monitoring_key="", *, known=(), allows_anonymous=False, shared="a gateway's"):
    """Return what finds the client of a request; ``known``: rows, KnownKeys, or None if they cannot be read."""
    return Authenticator(
        static_keys=StaticKeys(texts),
        known_keys=known if isinstance(known, KnownKeys) else known_keys(known),
        sessions=SessionSigner(shared),
        monitoring_key=monitoring_key,
        allows_anonymous=allows_anonymous,
    )


__all__ = ["KeysDatabase", "authenticator", "known_keys", "make_key", "stored"]
