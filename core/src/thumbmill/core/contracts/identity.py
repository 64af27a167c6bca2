"""Who an image is: its id, its generations, and the names under which its variants are kept.

Everything here is a pure function of the bucket's facts, so every service computes the same answer.
"""

import hashlib
import re
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

ORIGINALS_BUCKET = "images-original"
VARIANTS_BUCKET = "images-processed"
HEARTBEAT_KEY = ".thumbmill/heartbeat/"  # a folder marker, by which the status tracker sees that events come

_NAMESPACE = uuid.UUID("6f2d1f0e-6c0b-5a5e-9d0e-7468756d626d")
_OWN_KEY = re.compile(r"uploads/([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})/original")
_PLAIN_ETAG = re.compile(r"[0-9a-f]{32}(-[0-9]{1,5})?")
_VARIANT_KEY = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/[0-9a-f]{16}-[a-z0-9.-]+/[a-z0-9.-]+")
_NOT_ASCII = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """What the bucket holds under a key: another source under the same key is a new generation.

    An uploader can forge ETag and date, so a source is only ever compared for equality, never ordered.
    """

    etag: str
    size: int  # bytes
    modified: int  # seconds since 1970: all that a HEAD tells

    def __str__(self) -> str:
        return f"{self.etag}/{self.size}/{self.modified}"

    @classmethod
    def parse(cls, text: str) -> "ObjectVersion":
        """Undo ``str(source)``; raises ValueError on anything else."""
        etag, size, modified = text.split("/")
        return cls(etag, int(size), int(modified))


def new_image_id() -> uuid.UUID:
    """Make a UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then chance."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def uuid7_timestamp(image_id: uuid.UUID) -> datetime | None:
    """When a UUIDv7 was made, UTC; None for an id that holds no time, or one after the year 9999."""
    if image_id.version != 7:
        return None
    try:
        return datetime.fromtimestamp((image_id.int >> 80) / 1000, UTC)
    except (ValueError, OverflowError):  # anybody can write such an id, into a request or a key
        return None


def upload_key(image_id: uuid.UUID) -> str:
    """Give the key of an image that the gateway names."""
    return f"uploads/{image_id}/original"


def image_id_of(key: str) -> uuid.UUID:
    """Compute the id of the object under a key of the originals' bucket.

    Only a key that matches the gateway's pattern as a whole has the id written in it; every other key gets a
    UUIDv5, so nobody can write under somebody else's id.
    """
    own = _OWN_KEY.fullmatch(key)
    return uuid.UUID(own[1]) if own else uuid.uuid5(_NAMESPACE, f"{ORIGINALS_BUCKET}/{key}")


def is_folder_marker(key: str, size: int) -> bool:
    """Tell a folder, as consoles keep one in a bucket, from an image: it has no bytes, and a slash behind.

    Under such a key there is no image, whatever was there before.
    """
    return size == 0 and key.endswith("/")


def event_id(*parts: object) -> uuid.UUID:
    """Name a fact by what it says, so that twins and redeliveries fall together."""
    return uuid.uuid5(_NAMESPACE, "\n".join(str(part) for part in parts))


def normalize_etag(etag: str) -> str:
    """Keep an ETag that a server made; hash one that an uploader forged.

    What is not ASCII counts as one sign: MinIO's events show such bytes as U+FFFD or UTF-8, a HEAD as Latin-1.
    """
    bare = _NOT_ASCII.sub("?", etag).strip('"')
    return bare if _PLAIN_ETAG.fullmatch(bare) else "x" + hashlib.sha256(bare.encode()).hexdigest()[:31]


def variant_prefix(image_id: uuid.UUID) -> str:
    """Everything that was ever made of an image is kept below this prefix."""
    return f"{image_id}/"


def variant_key(image_id: uuid.UUID, sha256: str, preset: str, version: str, extension: str) -> str:
    """Name a variant after the original's bytes: a rerun writes the same, an old source overwrites nothing."""
    return f"{variant_prefix(image_id)}{sha256[:16]}-{version}/{preset}.{extension}"


def image_id_of_variant(key: str) -> uuid.UUID | None:
    """Give the id of the image that a key of the bucket of variants belongs to; None for a key that is not ours."""
    ours = _VARIANT_KEY.fullmatch(key)
    return uuid.UUID(ours[1]) if ours else None
