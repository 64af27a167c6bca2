"""Uploads with an idempotency key: whatever is repeated, and however often, one image is stored.

The image's id is a function of the tenant and the key, and the object store writes an object only if there is none.
So nothing has to be stored about keys, and none expires while its image exists.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, idempotent_image_id, upload_key
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.tenants import tenant_of
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.repository import ImageRepository, ImageRow
from thumbmill.gateway.images.states import WITHOUT_UPLOAD
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's name for one upload, by which its repetitions are recognized within a tenant."""

    value: str
    tenant: str

    @property
    def image_id(self) -> uuid.UUID:
        return idempotent_image_id(self.value, self.tenant)

    @property
    def object_key(self) -> str:
        return upload_key(self.image_id, self.tenant)


@dataclass(frozen=True)
class Content:
    """The bytes of an upload, as far as they are known."""

    size: int
    etags: frozenset[str]  # that they have in the object store if they are written in one request, or in parts
    sha256: str | None = None

    def is_in(self, stored: ObjectMetadata, sha256: str | None) -> bool:
        """Return whether an object has these bytes; its SHA-256 is known once its image is DONE.

        An ETag may differ for the same bytes: then their SHA-256 decides. Without it only the size can be compared
        if the ETag says nothing about the bytes.
        """
        if stored.object_version.size != self.size:
            return False
        if stored.etag in self.etags:
            return True
        if self.sha256 and sha256:
            return self.sha256 == sha256
        return not stored.is_etag_md5


def possible_etags(part_etags: Sequence[str]) -> frozenset[str]:
    """Return the ETags of an object that these parts make up: the MD5 of their MD5s, and their number.

    A single part can have been written in one request, too.
    """
    digests = b"".join(bytes.fromhex(etag) for etag in part_etags)
    joined = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(part_etags)}"
    return frozenset({joined, *part_etags} if len(part_etags) == 1 else {joined})


@dataclass
class ContentDigests:
    """The digests of a file that arrives in parts."""

    _size: int = 0
    _md5: "hashlib._Hash" = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    _sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _part_etags: list[str] = field(default_factory=list)

    def add(self, part: bytes) -> None:
        """Add the next part."""
        self._size += len(part)
        self._md5.update(part)
        self._sha256.update(part)
        self._part_etags.append(hashlib.md5(part, usedforsecurity=False).hexdigest())

    def content(self) -> Content:
        """Return what is known of the whole file."""
        etags = possible_etags(self._part_etags) | {self._md5.hexdigest()}
        return Content(self._size, etags, self._sha256.hexdigest())


@dataclass(frozen=True)
class EarlierUploads:
    """Finds what earlier requests with the same idempotency key have stored, and compares it."""

    repository: ImageRepository
    storage: Storage
    executor: BoundedExecutor

    async def find(self, image_id: uuid.UUID, key: str, *, in_store: bool = False) -> ObjectMetadata | None:
        """Return the object of an image, if there is one: as far as the tracker knows, or also in the store.

        An object that the tracker does not know is found by writing on condition that there is none.

        Raise Problem if it was deleted since, DependencyUnavailable.
        """
        row = await self._read_row(image_id, tenant_of(key))
        if row is not None and row.status == Status.DELETED:
            raise Problem(Code.IDEMPOTENCY_KEY_SPENT)
        if row is not None and row.status not in WITHOUT_UPLOAD:
            return await self.head(key)
        if not in_store:
            return None
        try:
            return await self.executor.run(self.storage.head, ORIGINALS_BUCKET, key)
        except ObjectNotFoundError:
            return None

    async def head(self, key: str) -> ObjectMetadata:
        """Return the object that was stored. Raise Problem if it was deleted since, DependencyUnavailable."""
        try:
            return await self.executor.run(self.storage.head, ORIGINALS_BUCKET, key)
        except ObjectNotFoundError as error:
            raise Problem(Code.IDEMPOTENCY_KEY_SPENT) from error

    async def check_same(self, image_id: uuid.UUID, tenant: str, stored: ObjectMetadata, content: Content) -> None:
        """Raise Problem unless an image's object has these bytes."""
        if content.is_in(stored, None) and stored.is_etag_md5:
            return
        row = await self._read_row(image_id, tenant)
        if not content.is_in(stored, row.sha256 if row else None):
            raise Problem(Code.IDEMPOTENCY_KEY_REUSED)

    async def _read_row(self, image_id: uuid.UUID, tenant: str) -> ImageRow | None:
        """Return the image's row. While the database is unavailable uploads continue, as if there were none."""
        try:
            return (await self.repository.get(image_id, tenant))[0]
        except DependencyUnavailable as error:
            log.warning("earlier_upload_unknown", image_id=str(image_id), error=str(error))
            return None
