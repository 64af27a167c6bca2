"""Finding an image, so that an id that was handed out is never a false 404.

The tracker may lag behind the bucket. Where it has no row, the bucket is asked; and "there is none" is only said
once the tracker has seen everything that happened before the question.
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.problems import Code, Problem
from gateway.reader import Reader, Row
from gateway.status import unseen
from gateway.threads import Threads
from pipeline.identity import ORIGINALS, image_id_of, made_at, own_key
from pipeline.storage import BadKeyError, Head, NotThereError, Storage

PATIENCE_SECONDS = 3  # how long a question waits for the tracker, which notes its progress every second
STEP_SECONDS = 0.15
SKEW = timedelta(minutes=5)  # how far the clocks of two gateways may differ


@dataclass(frozen=True)
class Lookup:
    """Asks the tracker's views first and the bucket where they know nothing."""

    reader: Reader
    storage: Storage
    threads: Threads

    async def image(self, image_id: uuid.UUID) -> Row:
        """Find an image. Raises Problem: image_not_found, or not_caught_up while nobody can know."""
        arrived = datetime.now(UTC)
        row, _ = await self.reader.image(image_id)
        if row is not None:
            return row
        if image_id.version == 7:
            head = await self.head(own_key(image_id))
            if head is not None:
                return unseen(image_id, own_key(image_id), head)
            made = made_at(image_id)
            if made is None or made > arrived + SKEW:
                raise Problem(Code.IMAGE_NOT_FOUND)
        elif image_id.version != 5:
            raise Problem(Code.IMAGE_NOT_FOUND)
        return await self._wait_for_tracker(image_id, arrived)

    async def by_key(self, key: str) -> Row | None:
        """Find what is under a key, if anything is."""
        image_id = image_id_of(key)
        row, _ = await self.reader.image(image_id)
        if row is not None:
            return row
        head = await self.head(key)
        return unseen(image_id, key, head) if head else None

    async def head(self, key: str) -> Head | None:
        """Ask the bucket."""
        try:
            return await self.threads.run(self.storage.head, ORIGINALS, key)
        except (NotThereError, BadKeyError):
            return None

    async def _wait_for_tracker(self, image_id: uuid.UUID, arrived: datetime) -> Row:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        while True:
            row, caught_up_to = await self.reader.image(image_id)
            if row is not None:
                return row
            if caught_up_to is not None and caught_up_to >= arrived:
                raise Problem(Code.IMAGE_NOT_FOUND)
            if loop.time() >= deadline:
                raise Problem(Code.NOT_CAUGHT_UP)
            await asyncio.sleep(STEP_SECONDS)
