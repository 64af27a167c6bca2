"""Find an image in the tracker's rows and in the bucket, so that an id that was returned is never a false 404.

The tracker may lag behind the bucket. While it has recorded no object for an image, the bucket is checked too, so
that a status never goes back when the tracker records the image. "Not found" is returned only once the tracker has
recorded everything that happened before the request.

An image of another tenant is not found, in neither of the two.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    image_id_of,
    is_idempotent,
    upload_key,
    uuid7_timestamp,
)
from thumbmill.core.contracts.tenants import has_tenant_tag, tenant_of
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.polling import poll_tracker
from thumbmill.gateway.images.presenter import pending_row, untracked_row
from thumbmill.gateway.images.repository import ImageRepository, ImageRow
from thumbmill.gateway.images.states import WITHOUT_UPLOAD
from thumbmill.gateway.problems import Code, Problem

UPLOAD_VERSIONS = {7, 8}  # of the ids that the gateway makes
CLOCK_SKEW = timedelta(minutes=5)  # allowed between the clocks of two gateways


@dataclass(frozen=True)
class Lookup:
    """Finds images by id or by object key."""

    repository: ImageRepository
    storage: Storage
    executor: BoundedExecutor

    async def find(self, image_id: uuid.UUID, tenant: str) -> ImageRow:
        """Return a tenant's image. Raise Problem: image_not_found, or not_caught_up while the tracker lags."""
        structlog.contextvars.bind_contextvars(image_id=str(image_id))
        arrived_at = datetime.now(UTC)
        if image_id.version in UPLOAD_VERSIONS and has_tenant_tag(image_id, tenant):
            row = await self._find_in_database_and_bucket(image_id, upload_key(image_id, tenant), tenant)
            if row is None and not is_idempotent(image_id):
                created_at = uuid7_timestamp(image_id)
                if created_at is None or created_at > arrived_at + CLOCK_SKEW:
                    raise Problem(Code.IMAGE_NOT_FOUND)
        else:
            row, _ = await self.repository.get(image_id, tenant)
            if row is None and image_id.version != 5:
                raise Problem(Code.IMAGE_NOT_FOUND)
        return row or await self._wait_for_tracker(image_id, tenant, arrived_at)

    async def find_by_key(self, key: str, tenant: str) -> ImageRow | None:
        """Return the image under an object key, if there is one and it is the tenant's."""
        if tenant_of(key) != tenant:
            return None
        return await self._find_in_database_and_bucket(image_id_of(key), key, tenant)

    async def wait_until_tracked(self, image_id: uuid.UUID, tenant: str) -> ImageRow:
        """Return an image once the tracker has recorded its object. Raise Problem as ``find`` does.

        Use this before deleting the object: afterwards, only the row shows that there was one.
        """
        row = await poll_tracker(lambda: self.find(image_id, tenant), lambda found: not found.untracked_version)
        if row.untracked_version:
            raise Problem(Code.NOT_CAUGHT_UP)
        return row

    async def wait_until_changed(self, row: ImageRow, tenant: str) -> ImageRow:
        """Wait up to the timeout until the tracker has changed the row, and return it.

        Use this after requesting a retry: the next read must not mistake the old failure for a new one.
        """
        return await poll_tracker(lambda: self.find(row.id, tenant), lambda latest: latest.version != row.version)

    async def _find_in_database_and_bucket(self, image_id: uuid.UUID, key: str, tenant: str) -> ImageRow | None:
        row, _ = await self.repository.get(image_id, tenant)
        if row is not None and row.status not in WITHOUT_UPLOAD:
            return row
        try:
            head = await self.executor.run(self.storage.head, ORIGINALS_BUCKET, key)
        except (ObjectNotFoundError, InvalidKeyError):
            # In the meantime the tracker may have recorded the object, and the object may have been deleted.
            row, _ = await self.repository.get(image_id, tenant)
            return row
        return pending_row(row, head) if row else untracked_row(image_id, key, head)

    async def _wait_for_tracker(self, image_id: uuid.UUID, tenant: str, arrived_at: datetime) -> ImageRow:
        def is_caught_up(caught_up_to: datetime | None) -> bool:
            return caught_up_to is not None and caught_up_to >= arrived_at

        row, caught_up_to = await poll_tracker(
            lambda: self.repository.get(image_id, tenant),
            lambda found: found[0] is not None or is_caught_up(found[1]),
        )
        if row is not None:
            return await self.find(image_id, tenant)
        raise Problem(Code.IMAGE_NOT_FOUND if is_caught_up(caught_up_to) else Code.NOT_CAUGHT_UP)
