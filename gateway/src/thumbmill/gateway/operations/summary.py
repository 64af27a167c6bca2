"""How many images there are in each state, and why images failed."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from thumbmill.core.contracts.error_codes import MESSAGES, RETRYABLE, ErrorCode
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.operations.cache import Cached
from thumbmill.gateway.operations.repository import FailureRow, OperationsRepository
from thumbmill.gateway.operations.system_models import FailureCount, Summary


class Summaries:
    """Counts for any number of readers."""

    def __init__(self, repository: OperationsRepository) -> None:
        self._repository = repository
        self._cached = Cached(self._count)

    async def get(self) -> Summary:
        """Return the latest counts. Raise DependencyUnavailable."""
        return await self._cached.get()

    async def _count(self) -> Summary:
        at = datetime.now(UTC)
        counts, failures = await asyncio.gather(self._repository.counts(), self._repository.failures())
        return Summary(at=at, counts=by_status(counts), failures=to_failure_counts(failures))


def by_status(stored: dict[str, int]) -> dict[Status, int]:
    """Return a number for every state."""
    return {status: stored.get(status.value, 0) for status in Status}


def to_failure_counts(rows: Sequence[FailureRow]) -> list[FailureCount]:
    """Return the failures with what their codes mean, those of the last day first."""
    known = {code.value: code for code in ErrorCode}
    counts = [
        FailureCount(
            code=code,
            meaning=MESSAGES[code],
            retryable=code in RETRYABLE,
            last_hour=row.last_hour,
            last_day=row.last_day,
            last_week=row.last_week,
        )
        for row in rows
        if (code := known.get(row.code))
    ]
    return sorted(counts, key=lambda count: (-count.last_day, -count.last_week, count.code))
