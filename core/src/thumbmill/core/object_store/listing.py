"""What MinIO answers when it is asked what is in a bucket, in our words."""

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
    """An object as a listing shows it."""

    key: str
    object_version: ObjectVersion


@dataclass(frozen=True, slots=True)
class ListPage:
    """Objects in the order of their keys' bytes. A token: there are more, and this is how to go on."""

    objects: list[ObjectSummary]
    token: str
    server_time: int  # seconds since 1970 by the store's own clock, which also dates its objects


def parse_list_page(body: bytes, headers: Mapping[str, str]) -> ListPage:
    """Read an answer to ListObjectsV2, its keys URL-encoded. Raises DependencyAway for anything else."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - our own store's answer
        found = [_listed(entry) for entry in root.iterfind(f"{_NAMES}Contents")]
        return ListPage(
            objects=[thing for thing in found if not is_folder_marker(thing.key, thing.object_version.size)],
            token=_token(root),
            server_time=int(parsedate_to_datetime(headers["Date"]).timestamp()),
        )
    except (ET.ParseError, KeyError, ValueError) as fault:  # a proxy's page, an answer cut off
        raise DependencyUnavailable("minio", f"its listing cannot be read: {fault!r}") from fault


def _token(root: ET.Element) -> str:
    """Tell how to go on; a listing that does not say whether it is complete is none."""
    more = {"true": True, "false": False}[root.findtext(f"{_NAMES}IsTruncated") or ""]
    token = root.findtext(f"{_NAMES}NextContinuationToken") or ""
    if more and not token:
        raise ValueError("it goes on, and does not say how")
    return token if more else ""


def _listed(entry: ET.Element) -> ObjectSummary:
    found = {child.tag.removeprefix(_NAMES): child.text or "" for child in entry}
    modified = int(datetime.fromisoformat(found["LastModified"]).timestamp())
    object_version = ObjectVersion(normalize_etag(found.get("ETag", "")), int(found["Size"]), modified)
    return ObjectSummary(unquote_plus(found["Key"]), object_version)
