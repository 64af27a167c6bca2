"""What the object store's refusals mean to us: one vocabulary for minio-py's exceptions and for bare answers."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pipeline.outcomes import DependencyAway, Refused
from pipeline.s3 import Answer

_CODE = re.compile("<Code>(.+?)</Code>")
_MESSAGE = re.compile("<Message>(.*?)</Message>")
_FAULT_BYTES = 64 * 1024  # of an answer that tells a fault; usual ones have 400
# Where there is no text to say; MinIO tells no more of a key with `..` in it, either.
_HEAD_CODES = {400: "InvalidRequest", 403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed"}
_REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_PASSING = {"ClientDisconnected", "RequestTimeout", "XMinioAdminBucketQuotaExceeded"}  # told with 4xx, and no key's
_SKEWED, _MOST_SKEW = "RequestTimeTooSkewed", timedelta(minutes=15)  # S3's own limit


class NotThereError(Exception):
    """There is no object under this key."""


class ChangedError(Exception):
    """The object is not the one that was asked for."""


class BadKeyError(Exception):
    """The store refuses this key or these bytes; the text says why."""


def find_code(text: str) -> str | None:
    """Find S3's code in the XML of an answer."""
    found = _CODE.search(text)
    return found[1] if found else None


def read_refusal(answer: Answer, bucket: str, key: str) -> Exception:
    """Read an answer that is no success, and give our exception for it. Raises OSError."""
    text = answer.read(_FAULT_BYTES).decode(errors="replace")
    message = _MESSAGE.search(text)
    named = find_code(text) or answer.headers.get("x-minio-error-code") or _HEAD_CODES.get(answer.status)
    if named is None:
        return DependencyAway("minio", f"it answered {answer.status}")
    date = answer.headers.get("date", "")
    return fault_of(named, message[1] if message else "", answer.status, date, bucket, key)


def fault_of(code: str, message: str, status: int, date: str, bucket: str, key: str | None) -> Exception:
    """Give our exception for S3's code, an answer's status and its date, as its header has it.

    ``key`` is None for a request that is about no single object, so that no object is to blame.
    """
    if code in {"NoSuchKey", "NoSuchObject"}:
        return NotThereError(key)
    if code == "PreconditionFailed":
        return ChangedError(key)
    if code == "NoSuchBucket":
        return Refused("minio", f"there is no bucket {bucket!r}: run the set-up (infra/minio/provision.py)")
    if code == _SKEWED or (code in _REFUSALS and _is_far_from_now(date)):
        return Refused("minio", "this machine's clock and MinIO's differ by more than 15 minutes")
    if code in _REFUSALS:
        return Refused("minio", f"{code}: check MINIO_ACCESS_KEY, MINIO_SECRET_KEY and that user's policy")
    if code == "AuthorizationHeaderMalformed":
        return Refused("minio", f"check MINIO_REGION: {message}")
    if code in _PASSING or not status or status >= 500 or status in {408, 429}:
        return DependencyAway("minio", code)
    return Refused("minio", f"{code}: {message}") if key is None else BadKeyError(f"{code}: {message}")


def _is_far_from_now(date: str) -> bool:
    """Tell whether an answer's date is so far from ours that MinIO refuses us for it.

    What answers a HEAD has no text, and so does not give this reason.
    """
    try:
        return bool(date) and abs(datetime.now(UTC) - parsedate_to_datetime(date)) > _MOST_SKEW
    except (ValueError, TypeError):
        return False
