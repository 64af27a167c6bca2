"""The identity of an image: its id, the versions of its object, and the keys of its variants.

All functions are pure and depend only on the bucket's content, so every service computes the same result.
"""

import hashlib
import re
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from thumbmill.core.contracts.tenants import (
    DEFAULT_TENANT,
    add_tenant_tag,
    has_tenant_tag,
    tenant_of,
    tenant_prefix,
)

ORIGINALS_BUCKET = "images-original"
VARIANTS_BUCKET = "images-processed"
# A folder marker, whose events show the status tracker that notifications arrive.
HEARTBEAT_KEY = ".thumbmill/heartbeat/"

_NAMESPACE = uuid.UUID("6f2d1f0e-6c0b-5a5e-9d0e-7468756d626d")
# Version 7: a new id. Version 8: the hash of an idempotency key.
_UPLOAD_KEY = re.compile(
    r"uploads/([0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})/original"
)
_PLAIN_ETAG = re.compile(r"[0-9a-f]{32}(-[0-9]{1,5})?")
_VARIANT_KEY = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/[0-9a-f]{16}-[a-z0-9.-]+/[a-z0-9.-]+")
_NOT_ASCII = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """The version of the object under a key; another version is a new generation of the image.

    An uploader can forge ETag and date, so versions are compared only for equality, never ordered.
    """

    etag: str
    size: int  # bytes
    modified: int  # seconds since 1970: HEAD has no fractions

    def __str__(self) -> str:
        return f"{self.etag}/{self.size}/{self.modified}"

    @classmethod
    def parse(cls, text: str) -> "ObjectVersion":
        """Parse what ``str()`` returns. Raise ValueError for anything else."""
        etag, size, modified = text.split("/")
        return cls(etag, int(size), int(modified))


def new_image_id(tenant: str = DEFAULT_TENANT) -> uuid.UUID:
    """Return a new UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, random bits, and the tenant's tag."""
    return _make_image_id((time.time_ns() // 1_000_000) << 80 | secrets.randbits(80), 7, tenant)


def idempotent_image_id(idempotency_key: str, tenant: str = DEFAULT_TENANT) -> uuid.UUID:
    """Return the UUIDv8 (RFC 9562, 5.8) of a tenant's upload with this idempotency key, with the tenant's tag."""
    digest = hashlib.sha256(f"idempotency\n{tenant}\n{idempotency_key}".encode()).digest()
    return _make_image_id(int.from_bytes(digest[:16], "big"), 8, tenant)


def _make_image_id(value: int, version: int, tenant: str) -> uuid.UUID:
    """Return the UUID of 128 bits, of which some become the version, the variant and the tenant's tag."""
    value = value & ~(0xF << 76) | version << 76
    return add_tenant_tag(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62), tenant)


def is_idempotent(image_id: uuid.UUID) -> bool:
    """Return whether an image was uploaded with an idempotency key, which determines its id."""
    return image_id.version == 8


def uuid7_timestamp(image_id: uuid.UUID) -> datetime | None:
    """Return the time of a UUIDv7, UTC; None for another version, or a time after the year 9999."""
    if image_id.version != 7:
        return None
    try:
        return datetime.fromtimestamp((image_id.int >> 80) / 1000, UTC)
    except (ValueError, OverflowError):  # a client can put such an id into a request or a key
        return None


def upload_key(image_id: uuid.UUID, tenant: str = DEFAULT_TENANT) -> str:
    """Return the key of an image that a tenant uploaded through the gateway."""
    return f"{tenant_prefix(tenant)}uploads/{image_id}/original"


def is_upload_key(key: str) -> bool:
    """Return whether a key is one that the gateway makes, so that it contains its image's id."""
    return _upload_id_of(key) is not None


def image_id_of(key: str) -> uuid.UUID:
    """Return the id of the image under a key of the bucket of originals.

    Only a key that matches the gateway's pattern as a whole contains its id, and a tenant's only if the id has that
    tenant's tag. Every other key gets a UUIDv5, so no client can upload under the id of another image.
    """
    return _upload_id_of(key) or uuid.uuid5(_NAMESPACE, f"{ORIGINALS_BUCKET}/{key}")


def _upload_id_of(key: str) -> uuid.UUID | None:
    tenant = tenant_of(key)
    found = _UPLOAD_KEY.fullmatch(key, len(tenant_prefix(tenant)))
    image_id = uuid.UUID(found[1]) if found else None
    return image_id if image_id and has_tenant_tag(image_id, tenant) else None


def is_folder_marker(key: str, size: int) -> bool:
    """Return whether an object is a folder as consoles create it: empty, with a key that ends in a slash.

    There is no image under such a key, even if there was one before.
    """
    return size == 0 and key.endswith("/")


def event_id(*parts: object) -> uuid.UUID:
    """Return the id of an event by its content, so that duplicates and redeliveries have the same one."""
    return uuid.uuid5(_NAMESPACE, "\n".join(str(part) for part in parts))


def normalize_etag(etag: str) -> str:
    """Return an ETag as servers generate it, or a hash of any other, which an uploader has forged.

    Non-ASCII parts count as one character: MinIO's events show such bytes as U+FFFD or UTF-8, HEAD as Latin-1.
    """
    bare = _NOT_ASCII.sub("?", etag).strip('"')
    return bare if _PLAIN_ETAG.fullmatch(bare) else "x" + hashlib.sha256(bare.encode()).hexdigest()[:31]


def variant_prefix(image_id: uuid.UUID) -> str:
    """Return the prefix of all variants of an image, of all its versions."""
    return f"{image_id}/"


def variant_key(image_id: uuid.UUID, sha256: str, preset: str, version: str, extension: str) -> str:
    """Return a variant's key, which contains the original's hash.

    So a repeated run writes the same object, and a run for an old version overwrites nothing.
    """
    return f"{variant_prefix(image_id)}{sha256[:16]}-{version}/{preset}.{extension}"


def image_id_of_variant(key: str) -> uuid.UUID | None:
    """Return the id of the image that a variant's key belongs to; None for a key of another form."""
    found = _VARIANT_KEY.fullmatch(key)
    return uuid.UUID(found[1]) if found else None
