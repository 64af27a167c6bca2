"""What the object store's refusals mean to us: one vocabulary for minio-py's exceptions and for bare answers."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.http_client import Response

_CODE = re.compile("<Code>(.+?)</Code>")
_MESSAGE = re.compile("<Message>(.*?)</Message>")
_FAULT_BYTES = 64 * 1024  # of an answer that tells a fault; usual ones have 400
# Where there is no text to say; MinIO tells no more of a key with `..` in it, either.
_HEAD_CODES = {400: "InvalidRequest", 403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed"}
_REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_PASSING = {"ClientDisconnected", "RequestTimeout", "XMinioAdminBucketQuotaExceeded"}  # told with 4xx, and no key's
_SKEWED, _MOST_SKEW = "RequestTimeTooSkewed", timedelta(minutes=15)  # S3's own limit


class ObjectNotFoundError(Exception):
    """There is no object under this key."""


class PreconditionFailedError(Exception):
    """The object is not the one that was asked for."""


class InvalidKeyError(Exception):
    """The store refuses this key or these bytes; the text says why."""


def find_error_code(text: str) -> str | None:
    """Find S3's code in the XML of an answer."""
    found = _CODE.search(text)
    return found[1] if found else None


def read_error(answer: Response, bucket: str, key: str) -> Exception:
    """Read an answer that is no success, and give our exception for it. Raises OSError."""
    text = answer.read(_FAULT_BYTES).decode(errors="replace")
    message = _MESSAGE.search(text)
    named = find_error_code(text) or answer.headers.get("x-minio-error-code") or _HEAD_CODES.get(answer.status)
    if named is None:
        return DependencyUnavailable("minio", f"it answered {answer.status}")
    date = answer.headers.get("date", "")
    return error_from_code(named, message[1] if message else "", answer.status, date, bucket, key)


def error_from_code(code: str, message: str, status: int, date: str, bucket: str, key: str | None) -> Exception:
    """Give our exception for S3's code, an answer's status and its date, as its header has it.

    ``key`` is None for a request that is about no single object, so that no object is to blame.
    """
    if code in {"NoSuchKey", "NoSuchObject"}:
        return ObjectNotFoundError(key)
    if code == "PreconditionFailed":
        return PreconditionFailedError(key)
    if code == "NoSuchBucket":
        return DependencyRejected(
            "minio", f"there is no bucket {bucket!r}: run the set-up (infra/minio/provision.py)"
        )
    if code == _SKEWED or (code in _REFUSALS and _is_far_from_now(date)):
        return DependencyRejected("minio", "this machine's clock and MinIO's differ by more than 15 minutes")
    if code in _REFUSALS:
        return DependencyRejected(
            "minio", f"{code}: check MINIO_ACCESS_KEY, MINIO_SECRET_KEY and that user's policy"
        )
    if code == "AuthorizationHeaderMalformed":
        return DependencyRejected("minio", f"check MINIO_REGION: {message}")
    if code in _PASSING or not status or status >= 500 or status in {408, 429}:
        return DependencyUnavailable("minio", code)
    return (
        DependencyRejected("minio", f"{code}: {message}") if key is None else InvalidKeyError(f"{code}: {message}")
    )


def _is_far_from_now(date: str) -> bool:
    """Tell whether an answer's date is so far from ours that MinIO refuses us for it.

    What answers a HEAD has no text, and so does not give this reason.
    """
    try:
        return bool(date) and abs(datetime.now(UTC) - parsedate_to_datetime(date)) > _MOST_SKEW
    except (ValueError, TypeError):
        return False
