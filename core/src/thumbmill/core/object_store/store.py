"""The object store, in our words: what is in the two buckets, and the faults that matter to a handler.

One instance serves all threads of a process; it must be made after any fork.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.datatypes import Part, PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from thumbmill.core.contracts.identity import ObjectVersion, is_folder_marker, normalize_etag
from thumbmill.core.contracts.storage_events import read_file_name
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.errors import (
    InvalidKeyError,
    ObjectNotFoundError,
    PreconditionFailedError,
    error_from_code,
    find_error_code,
    read_error,
)
from thumbmill.core.object_store.http_client import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Credentials,
    MalformedResponseError,
    Response,
    S3Client,
)
from thumbmill.core.object_store.listing import ListPage, parse_list_page
from thumbmill.core.settings import StoreSettings


@dataclass(frozen=True)
class ObjectMetadata:
    """What the store says of an object without its bytes."""

    object_version: ObjectVersion
    etag: str  # as the store has it, for If-Match
    content_type: str | None
    metadata: dict[str, str]  # the uploader's, keys in lower case without prefix

    @property
    def file_name(self) -> str | None:
        return read_file_name(self.metadata)


class Storage:
    """A client for both buckets."""

    def __init__(self, settings: StoreSettings, *, connections: int = 10, retries: int = 1) -> None:
        self._url = settings.minio_url
        self._http = urllib3.PoolManager(
            maxsize=connections,
            block=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            # One silent retry for a kept connection that the server closed; more is the queue's work.
            retries=urllib3.Retry(total=retries, backoff_factor=0.1, redirect=0),
        )
        self._minio = Minio(
            settings.minio_url.partition("://")[2],
            access_key=settings.minio_access_key,
            secret_key=settings.minio_secret_key.get_secret_value(),
            secure=settings.minio_url.startswith("https:"),
            region=settings.minio_region,  # spares a request for the bucket's region
            http_client=self._http,
        )
        login = Credentials(
            settings.minio_access_key, settings.minio_secret_key.get_secret_value(), settings.minio_region
        )
        self._s3 = S3Client(settings.minio_url, login, connections=connections, resend=retries > 0)

    # --- reading -------------------------------------------------------------------------------------------

    def head(self, bucket: str, key: str) -> ObjectMetadata:
        """Say what is under a key now. Raises NotThereError, also for a folder marker, DependencyAway, Refused."""
        with self._asked("HEAD", bucket, key) as answer:
            return _head(key, answer.headers)

    @contextmanager
    def open(self, bucket: str, key: str, *, etag: str | None = None) -> Iterator[tuple[ObjectMetadata, Response]]:
        """Open an object for reading, only if it still has this ETag, as ``Source`` has it.

        Raises NotThereError, ChangedError, DependencyAway, Refused, also while the caller reads.
        """
        # A forged ETag may not survive a header, and ours for it is a hash: then the answer alone decides.
        condition = {"If-Match": f'"{etag}"'} if etag and normalize_etag(etag) == etag else None
        with self._asked("GET", bucket, key, condition) as answer:
            head = _head(key, answer.headers)
            if etag and head.object_version.etag != etag:
                raise PreconditionFailedError(key)
            yield head, answer

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        """List the keys below a prefix. Raises DependencyAway, Refused."""
        with _translated():
            found = self._minio.list_objects(bucket, prefix=prefix, recursive=True)
            return [thing.object_name for thing in found if thing.object_name]

    def list_page(self, bucket: str, *, after: str = "", token: str = "") -> ListPage:
        """List up to 1000 objects, sorted by key: those behind a key, or those that follow on another page.

        To go on by a page's token costs MinIO a fraction of beginning anew behind a key. What lies below another
        object's key (``a/b`` beside ``a``) is in no listing, and folder markers are left out.

        Raises DependencyAway, Refused.
        """
        place = {"continuation-token": token} if token else {"start-after": after} if after else {}
        query: Any = {"list-type": "2", "prefix": "", "max-keys": "1000", "encoding-type": "url", **place}
        with _translated():
            answer = self._minio._execute("GET", bucket, query_params=query)  # noqa: SLF001 - it hides its pages
            return parse_list_page(answer.data, answer.headers)

    # --- writing -------------------------------------------------------------------------------------------

    def put(
        self, bucket: str, key: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        """Write an object in one request and return its ETag. Raises BadKeyError, DependencyAway, Refused."""
        named = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        with self._asked("PUT", bucket, key, {"Content-Type": content_type, **named}, data) as answer:
            return answer.headers.get("etag", "").strip('"')

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; deleting nothing is no fault. Raises BadKeyError, DependencyAway, Refused."""
        with self._asked("DELETE", bucket, key):  # minio-py knows no key that is nothing but white space
            pass

    def delete_all(self, bucket: str, keys: list[str]) -> None:
        """Delete many objects. Raises DependencyAway, Refused, if one of them stays."""
        with _translated():
            for fault in self._minio.remove_objects(bucket, [DeleteObject(key) for key in keys]):
                raise DependencyUnavailable("minio", f"{fault.code} deleting {fault.name}")

    # Multipart uploads, for a body whose length is not known: minio-py offers them only for a stream that it
    # pulls from; ours is pushed. The four calls are private there and the version is pinned below 8.

    def create_multipart_upload(self, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]) -> str:
        """Begin a multipart upload and return its id. Raises BadKeyError, DependencyAway, Refused."""
        headers: Any = {"Content-Type": content_type, **{f"X-Amz-Meta-{k}": v for k, v in metadata.items()}}
        with _translated(key):
            return str(self._minio._create_multipart_upload(bucket, key, headers))  # noqa: SLF001

    def upload_part(self, bucket: str, key: str, upload: str, number: int, data: bytes) -> Part:
        """Send one part, numbered from 1. Raises DependencyAway, Refused."""
        with _translated(key):
            etag = self._minio._upload_part(bucket, key, data, None, upload, number)  # noqa: SLF001
            return Part(number, str(etag))

    def complete_multipart_upload(self, bucket: str, key: str, upload: str, parts: list[Part]) -> str:
        """Make the parts an object and return its ETag. Raises DependencyAway, Refused."""
        with _translated(key):
            done = self._minio._complete_multipart_upload(bucket, key, upload, parts)  # noqa: SLF001
            if not done.etag:  # S3 may begin with 200 and tell of a fault in the body
                raise DependencyUnavailable("minio", "it has not finished the upload")
            return str(done.etag)

    def abort_multipart_upload(self, bucket: str, key: str, upload: str) -> None:
        """Give up a multipart upload. Raises DependencyAway, Refused."""
        with _translated(key):
            self._minio._abort_multipart_upload(bucket, key, upload)  # noqa: SLF001

    # --- handing out ---------------------------------------------------------------------------------------

    def presign_post(
        self, bucket: str, key: str, content_type: str, max_bytes: int, lifetime: timedelta
    ) -> dict[str, str]:
        """Sign the fields of a POST form for one key, one content type and 1..max_bytes; needs no network."""
        policy = PostPolicy(bucket, datetime.now(UTC) + lifetime)
        policy.add_equals_condition("key", key)
        policy.add_equals_condition("Content-Type", content_type)
        policy.add_content_length_range_condition(1, max_bytes)
        fields: dict[str, str] = self._minio.presigned_post_policy(policy)
        return {"key": key, "Content-Type": content_type, **fields}

    def verify_presigned_post(self, bucket: str, key: str) -> None:
        """Submit a presigned form with a file that is too small to be stored.

        Raise DependencyRejected if the store rejects the signature, DependencyUnavailable if it does not answer.
        """
        fields = self.presign_post(bucket, key, "image/jpeg", 1, timedelta(minutes=5))
        with _translated():
            answer = self._http.request("POST", f"{self._url}/{bucket}", fields={**fields, "file": ("empty", b"")})
        code = find_error_code(answer.data.decode(errors="replace")) or str(answer.status)
        if answer.status == 403:
            raise DependencyRejected("minio", f"{code} for an upload form")
        if code != "EntityTooSmall":
            raise DependencyUnavailable("minio", f"{code} for an upload form")

    @contextmanager
    def _asked(
        self, method: str, bucket: str, key: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Iterator[Response]:
        with _translated(key):
            if not key or key.startswith("/"):  # MinIO takes the slash off, and shows the object of another key
                raise ValueError("a key is not empty and does not begin with a slash")
            with self._s3.request(method, bucket, key, headers, body) as answer:
                if "x-amz-request-id" not in answer.headers:  # a proxy's 404 is not the store's
                    raise DependencyUnavailable("minio", f"{answer.status} from something that is no object store")
                if answer.status not in {200, 204}:
                    raise read_error(answer, bucket, key)
                yield answer

    # --- checking ------------------------------------------------------------------------------------------

    def check(self, *buckets: str) -> None:
        """Make sure that the store answers and knows us, and that the buckets exist.

        Raises DependencyAway, or Refused where it is not a matter of waiting.
        """
        for bucket in buckets:
            with _translated():
                if not self._minio.bucket_exists(bucket):
                    raise DependencyRejected(
                        "minio", f"there is no bucket {bucket!r}: run the set-up (infra/minio/provision.py)"
                    )

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether somebody turned versioning on, unsupported here. Raises DependencyAway, Refused."""
        with _translated():
            return self._minio.get_bucket_versioning(bucket).status == "Enabled"

    def ping(self) -> None:
        """Ask MinIO whether it is ready. Raises DependencyAway."""
        with _translated():
            answer = self._http.request(
                "GET", f"{self._url}/minio/health/ready", timeout=CONNECT_SECONDS, retries=False
            )
            if answer.status != 200:
                raise DependencyUnavailable("minio", f"health check answered {answer.status}")


@contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    """Have what a request raises be ours; without the key of a single object no object is to blame."""
    try:
        yield
    except S3Error as fault:
        answer = fault.response
        status, date = (answer.status, answer.headers.get("Date", "")) if answer is not None else (0, "")
        code, message, bucket = fault.code or "", fault.message or "", fault.bucket_name or ""
        raise error_from_code(code, message, status, date, bucket, key) from fault
    except (HTTPError, OSError, InvalidResponseError, ServerError) as fault:
        raise DependencyUnavailable("minio", fault) from fault
    except (ParseError, UnicodeDecodeError, OverflowError) as fault:
        raise DependencyUnavailable("minio", f"its answer makes no sense: {fault!r}") from fault
    except (MinioException, ValueError) as fault:
        if key is None:
            raise DependencyUnavailable("minio", fault) from fault
        raise InvalidKeyError(str(fault)) from fault


def _head(key: str, headers: Mapping[str, str]) -> ObjectMetadata:
    """Read an answer's headers, their names in lower case.

    Raises NoAnswerError for those of no object, NotThereError for those of a folder marker.
    """
    etag = headers.get("etag", "").strip('"')
    metadata = {k.removeprefix("x-amz-meta-"): v for k, v in headers.items() if k.startswith("x-amz-meta-")}
    try:
        modified = parsedate_to_datetime(headers["last-modified"])
        object_version = ObjectVersion(
            normalize_etag(etag), int(headers.get("content-length", 0)), int(modified.timestamp())
        )
    except (KeyError, ValueError, OverflowError) as fault:
        raise MalformedResponseError(f"headers of no object: {fault!r}") from fault
    if is_folder_marker(key, object_version.size):
        raise ObjectNotFoundError(key)
    return ObjectMetadata(
        object_version=object_version, etag=etag, content_type=headers.get("content-type"), metadata=metadata
    )
