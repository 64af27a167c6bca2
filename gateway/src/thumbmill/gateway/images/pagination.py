"""Where a page of a list ended, as an opaque word for the client to bring back."""

import binascii
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from thumbmill.gateway.problems import Code, Problem

Place = tuple[datetime, uuid.UUID]


def write_cursor(created_at: datetime, image_id: uuid.UUID) -> str:
    """Name the place after this image."""
    return urlsafe_b64encode(f"{created_at.isoformat()} {image_id}".encode()).rstrip(b"=").decode()


def read_cursor(cursor: str) -> Place:
    """Find the place again. Raises Problem for a word that we did not give out."""
    try:
        text = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
        created_at, image_id = text.split(" ")
        place = datetime.fromisoformat(created_at), uuid.UUID(image_id)
    except (ValueError, binascii.Error) as error:
        raise Problem(Code.INVALID_REQUEST, "cursor: take it from the field 'next' of an earlier page") from error
    if place[0].tzinfo is None:
        raise Problem(Code.INVALID_REQUEST, "cursor: take it from the field 'next' of an earlier page")
    return place
