"""Pages of the list of images. A cursor is an opaque string that names the last image of a page."""

import binascii
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from datetime import datetime

from thumbmill.gateway.images.repository import ImageRepository, ImageRow
from thumbmill.gateway.problems import Code, Problem

Position = tuple[datetime, uuid.UUID]

_INVALID = "cursor: is not valid, use the value of 'next' from an earlier page"


async def read_page(
    repository: ImageRepository,
    tenant: str,
    states: Collection[str] | None,
    batch: str | None,
    cursor: str | None,
    limit: int,
) -> tuple[Sequence[ImageRow], str | None]:
    """Return a page of a tenant's images and the cursor of the next page, if there is one. Raise Problem."""
    after = read_cursor(cursor) if cursor else None
    rows = await repository.page(tenant, states, batch, after, limit + 1)
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], write_cursor(rows[limit - 1].created_at, rows[limit - 1].id)


def write_cursor(created_at: datetime, image_id: uuid.UUID) -> str:
    """Return the cursor for the page after this image."""
    return urlsafe_b64encode(f"{created_at.isoformat()} {image_id}".encode()).rstrip(b"=").decode()


def read_cursor(cursor: str) -> Position:
    """Return the position that a cursor names. Raise Problem if the gateway did not write it."""
    try:
        text = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
        created_at, image_id = text.split(" ")
        position = datetime.fromisoformat(created_at), uuid.UUID(image_id)
    except (ValueError, binascii.Error) as error:
        raise Problem(Code.INVALID_REQUEST, _INVALID) from error
    if position[0].tzinfo is None:
        raise Problem(Code.INVALID_REQUEST, _INVALID)
    return position
