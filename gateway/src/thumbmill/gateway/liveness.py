"""Liveness: whether the connection pool is stuck, so that it has no connection while Postgres accepts new ones.

No known defect causes this. If one does, ``/livez`` lets an orchestrator such as Kubernetes restart the gateway,
instead of leaving it answering 503.
"""

import asyncio
import time
from contextlib import suppress

import structlog

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import ImageRepository

log = structlog.get_logger()

CHECK_SECONDS = 5  # pause between two checks
STUCK_SECONDS = 30  # a pool that was empty for this long will not recover


class Liveness:
    """Watches the connection pool. ``failure`` describes what is wrong, or is empty."""

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
        self.failure = ""

    async def watch(self) -> None:
        """Check at an interval until the task is cancelled."""
        since: float | None = None
        while True:
            await asyncio.sleep(self._check_seconds)
            if not await self._is_pool_stuck():
                since, self.failure = None, ""
                continue
            since = since or time.monotonic()
            if not self.failure and time.monotonic() - since >= self._stuck_seconds:
                self.failure = (
                    f"the pool has had no connection to Postgres for {self._stuck_seconds:g} s, although Postgres "
                    "accepts connections: restart the gateway"
                )
                log.critical("gateway_stuck", reason=self.failure)

    async def _is_pool_stuck(self) -> bool:
        """Return whether the pool provides no connection while a new one can be opened outside of it."""
        started = time.monotonic()
        if started - self._database.last_acquired_at < self._check_seconds:
            return False
        with suppress(DependencyUnavailable):
            await self._repository.check()
        if self._database.last_acquired_at >= started:  # even if the query failed
            return False
        try:
            await self._database.check_login()
        except DependencyUnavailable:
            return False
        return True
