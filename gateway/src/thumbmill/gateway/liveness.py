"""Whether the gateway is past help: its pool gives out no connection, though the database takes new ones.

Nothing that is known does this any more. Should anything, whoever runs the gateway restarts it on what /livez says,
as Kubernetes does, instead of reading 503s until somebody looks.
"""

import asyncio
import time
from contextlib import suppress

import structlog

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import Reader

log = structlog.get_logger()

LOOK_SECONDS = 5  # pause between two looks
STUCK_SECONDS = 30  # a pool that was empty for so long will stay so


class Liveness:
    """Watches the pool; ``fault`` says what is wrong, or nothing."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        *,
        look_seconds: float = LOOK_SECONDS,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._database = database
        self._reader = reader
        self._look_seconds = look_seconds
        self._stuck_seconds = stuck_seconds
        self.fault = ""

    async def watch(self) -> None:
        """Look again and again, for as long as the gateway runs."""
        since: float | None = None
        while True:
            await asyncio.sleep(self._look_seconds)
            if not await self._is_pool_empty():
                since, self.fault = None, ""
                continue
            since = since or time.monotonic()
            if not self.fault and time.monotonic() - since >= self._stuck_seconds:
                self.fault = (
                    f"no connection to Postgres for {self._stuck_seconds:g} s, though it answers: restart me"
                )
                log.critical("stuck", fault=self.fault)

    async def _is_pool_empty(self) -> bool:
        """Tell whether nobody gets a connection out of the pool, and a new one can be made beside it."""
        began = time.monotonic()
        if began - self._database.served_at < self._look_seconds:
            return False
        with suppress(DependencyUnavailable):
            await self._reader.check()
        if self._database.served_at >= began:  # whatever became of the query itself
            return False
        try:
            await self._database.check_login()
        except DependencyUnavailable:
            return False
        return True
