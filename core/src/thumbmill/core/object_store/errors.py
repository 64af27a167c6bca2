"""The exceptions for S3 error codes: one mapping for minio-py's exceptions and for HTTP responses."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.http_client import Response

_CODE = re.compile("<Code>(.+?)</Code>")
_MESSAGE = re.compile("<Message>(.*?)</Message>")
_ERROR_BYTES = 64 * 1024  # read of an error response; most have 400
# Codes of responses without a body. MinIO sends none for a key with `..` in it, either.
_HEAD_CODES = {400: "InvalidRequest", 403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed"}
_ACCESS_CODES = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_TEMPORARY_CODES = {
    "ClientDisconnected",
    "ConditionalRequestConflict",
    "RequestTimeout",
    "XMinioAdminBucketQuotaExceeded",
}  # with a status 4xx
_SKEWED_CODE, _MAX_SKEW = "RequestTimeTooSkewed", timedelta(minutes=15)  # S3's limit


class ObjectNotFoundError(Exception):
    """There is no object under this key."""


class PreconditionFailedError(Exception):
    """The object is not the requested version."""


class UploadNotFoundError(Exception):
    """There is no multipart upload with this id: it was completed or canceled, or has expired."""


class InvalidKeyError(Exception):
    """The store rejects this key or these bytes; the text has the reason."""


def find_error_code(text: str) -> str | None:
    """Return the S3 error code in the XML of a response, or None."""
    found = _CODE.search(text)
    return found[1] if found else None


def read_error(response: Response, bucket: str, key: str) -> Exception:
    """Return the exception for an error response, whose body is read. Raise OSError."""
    text = response.read(_ERROR_BYTES).decode(errors="replace")
    message = _MESSAGE.search(text)
    code = find_error_code(text) or response.headers.get("x-minio-error-code") or _HEAD_CODES.get(response.status)
    if code is None:
        return DependencyUnavailable("minio", f"it responded with status {response.status}")
    date = response.headers.get("date", "")
    return error_from_code(code, message[1] if message else "", response.status, date, bucket, key)


def error_from_code(code: str, message: str, status: int, date: str, bucket: str, key: str | None) -> Exception:
    """Return the exception for an S3 error code, the response's status and its header ``Date``.

    ``key`` is None for a request that is not about one object, since no key can be invalid then.
    """
    if code in {"NoSuchKey", "NoSuchObject"}:
        return ObjectNotFoundError(key)
    if code == "NoSuchUpload":
        return UploadNotFoundError(key)
    if code == "PreconditionFailed":
        return PreconditionFailedError(key)
    if code == "NoSuchBucket":
        return DependencyRejected("minio", f"bucket {bucket!r} does not exist: run infra/minio/provision.py")
    if code == _SKEWED_CODE or (code in _ACCESS_CODES and _is_far_from_now(date)):
        return DependencyRejected(
            "minio", "the clocks of this machine and of MinIO differ by more than 15 minutes: set them"
        )
    if code in _ACCESS_CODES:
        return DependencyRejected(
            "minio", f"{code}: check MINIO_ACCESS_KEY, MINIO_SECRET_KEY and that user's policy"
        )
    if code == "AuthorizationHeaderMalformed":
        return DependencyRejected("minio", f"check MINIO_REGION: {message}")
    if code in _TEMPORARY_CODES or not status or status >= 500 or status in {408, 429}:
        return DependencyUnavailable("minio", code)
    return (
        DependencyRejected("minio", f"{code}: {message}") if key is None else InvalidKeyError(f"{code}: {message}")
    )


def _is_far_from_now(date: str) -> bool:
    """Return whether a response's date differs from this machine's by more than MinIO accepts.

    A response to HEAD has no body, so its error code cannot tell this.
    """
    try:
        return bool(date) and abs(datetime.now(UTC) - parsedate_to_datetime(date)) > _MAX_SKEW
    except (ValueError, TypeError):
        return False


@contextmanager
def map_errors(key: str | None = None) -> Iterator[None]:
    """Replace the exceptions of a request with ours; ``key`` is None if it is not about one object."""
    try:
        yield
    except S3Error as error:
        response = error.response
        status, date = (response.status, response.headers.get("Date", "")) if response is not None else (0, "")
        code, message, bucket = error.code or "", error.message or "", error.bucket_name or ""
        raise error_from_code(code, message, status, date, bucket, key) from error
    except (HTTPError, OSError, InvalidResponseError, ServerError) as error:
        raise DependencyUnavailable("minio", error) from error
    except (ParseError, UnicodeDecodeError, OverflowError) as error:
        raise DependencyUnavailable("minio", f"its response cannot be parsed: {error!r}") from error
    except (MinioException, ValueError) as error:
        if key is None:
            raise DependencyUnavailable("minio", error) from error
        raise InvalidKeyError(str(error)) from error
