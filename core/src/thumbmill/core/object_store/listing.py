"""Entries of the store's listings; pages of a bucket's listing (ListObjectsV2), parsed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from thumbmill.core.contracts.identity import ObjectVersion, is_folder_marker, normalize_etag
from thumbmill.core.errors import DependencyUnavailable

_NAMES = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """An object in a listing."""

    key: str
    object_version: ObjectVersion


@dataclass(frozen=True, slots=True)
class ListPage:
    """Objects in the order of their keys' bytes. With a token there is a next page, else ``token`` is empty."""

    objects: list[ObjectSummary]
    token: str
    server_time: int  # seconds since 1970, by MinIO's clock, which also dates the objects


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of a multipart upload that is not completed."""

    number: int
    etag: str
    size: int


def parse_list_page(body: bytes, headers: Mapping[str, str]) -> ListPage:
    """Parse a response to ListObjectsV2 with URL-encoded keys. Raise DependencyUnavailable for anything else."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - a response of our own server
        found = [_parse_entry(entry) for entry in root.iterfind(f"{_NAMES}Contents")]
        return ListPage(
            objects=[entry for entry in found if not is_folder_marker(entry.key, entry.object_version.size)],
            token=_token(root),
            server_time=int(parsedate_to_datetime(headers["Date"]).timestamp()),
        )
    except (ET.ParseError, KeyError, ValueError) as error:  # a proxy's page, a truncated response
        raise DependencyUnavailable("minio", f"its listing cannot be parsed: {error!r}") from error


def _token(root: ET.Element) -> str:
    """Return the token of the next page, or an empty text. Raise KeyError or ValueError without either."""
    is_truncated = {"true": True, "false": False}[root.findtext(f"{_NAMES}IsTruncated") or ""]
    token = root.findtext(f"{_NAMES}NextContinuationToken") or ""
    if is_truncated and not token:
        raise ValueError("it is truncated, and has no token")
    return token if is_truncated else ""


def _parse_entry(entry: ET.Element) -> ObjectSummary:
    found = {child.tag.removeprefix(_NAMES): child.text or "" for child in entry}
    modified = int(datetime.fromisoformat(found["LastModified"]).timestamp())
    object_version = ObjectVersion(normalize_etag(found.get("ETag", "")), int(found["Size"]), modified)
    return ObjectSummary(unquote_plus(found["Key"]), object_version)
