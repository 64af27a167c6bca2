"""Finding an image, so that an id that was handed out is never a false 404.

The tracker may lag behind the bucket. Where it has heard of no object, the bucket is asked, so that nothing said of
an object is taken back when the tracker begins to know of its image; and "there is none" is only said once the
tracker has seen everything that happened before the question.
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, image_id_of, upload_key, uuid7_timestamp
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.presenter import WITHOUT_UPLOAD, pending_row, untracked_row
from thumbmill.gateway.images.repository import ImageRepository, ImageRow
from thumbmill.gateway.problems import Code, Problem

TIMEOUT_SECONDS = 3  # how long a question waits for the tracker, which notes its progress every second
POLL_SECONDS = 0.15
SKEW = timedelta(minutes=5)  # how far the clocks of two gateways may differ


@dataclass(frozen=True)
class Lookup:
    """Asks the tracker's views first and the bucket where they know nothing."""

    repository: ImageRepository
    storage: Storage
    executor: BoundedExecutor

    async def image(self, image_id: uuid.UUID) -> ImageRow:
        """Find an image. Raises Problem: image_not_found, or not_caught_up while nobody can know."""
        arrived = datetime.now(UTC)
        if image_id.version == 7:
            row = await self._ask_both(image_id, upload_key(image_id))
            made = uuid7_timestamp(image_id)
            if row is None and (made is None or made > arrived + SKEW):
                raise Problem(Code.IMAGE_NOT_FOUND)
        else:
            row, _ = await self.repository.image(image_id)
            if row is None and image_id.version != 5:
                raise Problem(Code.IMAGE_NOT_FOUND)
        return row or await self._wait_for_tracker(image_id, arrived)

    async def by_key(self, key: str) -> ImageRow | None:
        """Find what is under a key, if anything is."""
        return await self._ask_both(image_id_of(key), key)

    async def wait_until_tracked(self, image_id: uuid.UUID) -> ImageRow:
        """Find an image as the tracker has it, which is waited for where only the bucket shows the object.

        For whoever means to remove the object: once that is done, nothing but the row can tell that there was one.
        Raises Problem, as ``image`` does.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TIMEOUT_SECONDS
        while (row := await self.image(image_id)).untracked_version:
            if loop.time() >= deadline:
                raise Problem(Code.NOT_CAUGHT_UP)
            await asyncio.sleep(POLL_SECONDS)
        return row

    async def wait_until_changed(self, row: ImageRow) -> ImageRow:
        """Wait a while until the tracker has made something else of an image, and give it as it is then.

        For whoever has asked for another try: who looks next is not to see the old failure and take it for the new.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TIMEOUT_SECONDS
        now = await self.image(row.id)
        while now.version == row.version and loop.time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            now = await self.image(row.id)
        return now

    async def _ask_both(self, image_id: uuid.UUID, key: str) -> ImageRow | None:
        row, _ = await self.repository.image(image_id)
        if row is not None and row.status not in WITHOUT_UPLOAD:
            return row
        try:
            head = await self.executor.run(self.storage.head, ORIGINALS_BUCKET, key)
        except (ObjectNotFoundError, InvalidKeyError):
            # The tracker may have heard of the object since, and the object may have been deleted then.
            row, _ = await self.repository.image(image_id)
            return row
        return pending_row(row, head) if row else untracked_row(image_id, key, head)

    async def _wait_for_tracker(self, image_id: uuid.UUID, arrived: datetime) -> ImageRow:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TIMEOUT_SECONDS
        while True:
            row, caught_up_to = await self.repository.image(image_id)
            if row is not None:
                return await self.image(image_id)
            if caught_up_to is not None and caught_up_to >= arrived:
                raise Problem(Code.IMAGE_NOT_FOUND)
            if loop.time() >= deadline:
                raise Problem(Code.NOT_CAUGHT_UP)
            await asyncio.sleep(POLL_SECONDS)
