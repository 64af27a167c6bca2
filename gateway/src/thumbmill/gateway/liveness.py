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
from thumbmill.gateway.images.repository import ImageRepository

log = structlog.get_logger()

CHECK_SECONDS = 5  # pause between two looks
STUCK_SECONDS = 30  # a pool that was empty for so long will stay so


class Liveness:
    """Watches the pool; ``fault`` says what is wrong, or nothing."""

    def __init__(
        self,
        database: Database,
        repository: ImageRepository,
        *,
        check_seconds: float = CHECK_SECONDS,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._database = database
        self._repository = repository
        self._check_seconds = check_seconds
        self._stuck_seconds = stuck_seconds
        self.error = ""

    async def watch(self) -> None:
        """Look again and again, for as long as the gateway runs."""
        since: float | None = None
        while True:
            await asyncio.sleep(self._check_seconds)
            if not await self._is_pool_empty():
                since, self.error = None, ""
                continue
            since = since or time.monotonic()
            if not self.error and time.monotonic() - since >= self._stuck_seconds:
                self.error = (
                    f"no connection to Postgres for {self._stuck_seconds:g} s, though it answers: restart me"
                )
                log.critical("stuck", error=self.error)

    async def _is_pool_empty(self) -> bool:
        """Tell whether nobody gets a connection out of the pool, and a new one can be made beside it."""
        began = time.monotonic()
        if began - self._database.last_acquired_at < self._check_seconds:
            return False
        with suppress(DependencyUnavailable):
            await self._repository.check()
        if self._database.last_acquired_at >= began:  # whatever became of the query itself
            return False
        try:
            await self._database.check_login()
        except DependencyUnavailable:
            return False
        return True
