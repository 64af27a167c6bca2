"""Admission control: uploads are rejected while too many images wait for the thumbnailer, or one for too long.

The tracker's rows show which images wait: the broker counts messages, not images, and does not report their age.
The backlog is read once a second, for any number of uploads. While it cannot be read, uploads are accepted.
"""

import asyncio
from datetime import datetime

import structlog

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.images.repository import Backlog, ImageRepository
from thumbmill.gateway.metrics import UPLOADS_REJECTED
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

REFRESH_SECONDS = 1
STALE_SECONDS = 60  # without progress of the tracker: twice as long as it waits for a lost heartbeat


class AdmissionControl:
    """The limits and the latest backlog. A limit of 0 is not checked."""

    def __init__(self, repository: ImageRepository, *, max_images: int, max_seconds: float) -> None:
        self._repository = repository
        self._max_images = max_images
        self._max_seconds = max_seconds
        self._backlog: Backlog | None = None  # None while it is unknown
        self._caught_up_to: datetime | None = None
        self._progressed_at = float("-inf")  # on the event loop's clock: clocks of two machines are not compared

    def check_capacity(self, endpoint: str) -> None:
        """Raise Problem if the backlog exceeds a limit."""
        if self._backlog is None:
            return
        if self._max_images and self._backlog.images > self._max_images:
            limit, reason = "images", f"more than {self._max_images} images wait to be processed"
        elif self._max_seconds and (self._backlog.oldest_seconds or 0) > self._max_seconds:
            limit, reason = "age", f"an image has waited for {self._backlog.oldest_seconds:.0f} s to be processed"
        else:
            return
        UPLOADS_REJECTED.labels(endpoint, limit).inc()
        problem = Problem(Code.TOO_MANY_WAITING)
        problem.detail = f"{reason}: try again in {problem.headers['Retry-After']} s"
        raise problem

    async def watch(self) -> None:
        """Refresh the backlog until the task is cancelled; return at once if there is no limit."""
        while self._max_images or self._max_seconds:
            self._backlog = await self._read_backlog()
            await asyncio.sleep(REFRESH_SECONDS)

    async def _read_backlog(self) -> Backlog | None:
        try:
            backlog = await self._repository.backlog(self._max_images + 1)
        except DependencyUnavailable as error:
            if self._backlog is not None:
                log.warning("backlog_unknown", error=str(error))
            return None
        except Exception:  # a bug: without this handler, an outdated backlog would reject uploads forever
            log.exception("backlog_failed")
            return None
        now = asyncio.get_running_loop().time()
        if backlog.caught_up_to != self._caught_up_to:
            self._caught_up_to, self._progressed_at = backlog.caught_up_to, now
        return backlog if now - self._progressed_at <= STALE_SECONDS else None
