"""Turning uploads away while too many images wait for the thumbnailer, or one of them for too long.

What waits is what the tracker's rows say waits: the broker counts no images, and tells nobody how old its messages
are. The figures are read once a second, whatever the number of uploads; where they can't be had, uploads are taken.
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
STALE_SECONDS = 60  # the tracker stands still: twice as long as it waits for a mark that was lost


class AdmissionControl:
    """The limits, and what waits as of a moment ago. A limit of 0 is none."""

    def __init__(self, repository: ImageRepository, *, max_images: int, max_seconds: float) -> None:
        self._repository = repository
        self._max_images = max_images
        self._max_seconds = max_seconds
        self._known: Backlog | None = None
        self._progress: datetime | None = None
        self._progress_seen = float("-inf")  # on the loop's clock, so that no two machines' are compared

    def check_capacity(self, door: str) -> None:
        """Refuse an upload or a ticket if too much waits. Raises Problem."""
        if self._known is None:
            return
        if self._max_images and self._known.images > self._max_images:
            limit, error = "images", f"more than {self._max_images} images wait to be processed"
        elif self._max_seconds and (self._known.oldest_seconds or 0) > self._max_seconds:
            limit, error = "age", f"an image has waited for {self._known.oldest_seconds:.0f} s to be processed"
        else:
            return
        UPLOADS_REJECTED.labels(door, limit).inc()
        problem = Problem(Code.TOO_MANY_WAITING)
        problem.detail = f"{error}: try again in {problem.headers['Retry-After']} s"
        raise problem

    async def watch(self) -> None:
        """Keep the figures fresh for as long as the gateway runs; without a limit none are needed."""
        while self._max_images or self._max_seconds:
            self._known = await self._measure()
            await asyncio.sleep(REFRESH_SECONDS)

    async def _measure(self) -> Backlog | None:
        try:
            found = await self._repository.waiting(self._max_images + 1)
        except DependencyUnavailable as error:
            if self._known is not None:
                log.warning("backlog_unknown", error=str(error))
            return None
        except Exception:  # a bug of ours: figures that nobody renews would keep the doors shut for ever
            log.exception("backlog_failed")
            return None
        now = asyncio.get_running_loop().time()
        if found.caught_up_to != self._progress:
            self._progress, self._progress_seen = found.caught_up_to, now
        return found if now - self._progress_seen <= STALE_SECONDS else None
