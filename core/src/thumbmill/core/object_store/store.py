"""The object store: operations on the two buckets, with the exceptions that handlers distinguish.

One instance serves all threads of a process. Create it after any fork.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from xml.sax.saxutils import escape

import urllib3
from minio import Minio
from minio.datatypes import CompleteMultipartUploadResult, PostPolicy
from minio.deleteobjects import DeleteObject

from thumbmill.core.contracts.batch import BATCH_METADATA, valid_batch
from thumbmill.core.contracts.identity import ObjectVersion, is_folder_marker, normalize_etag
from thumbmill.core.contracts.storage_events import read_file_name
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.errors import (
    ObjectNotFoundError,
    PreconditionFailedError,
    find_error_code,
    map_errors,
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
from thumbmill.core.object_store.listing import ListPage, StoredPart, parse_list_page
from thumbmill.core.settings import StoreSettings


@dataclass(frozen=True)
class ObjectMetadata:
    """An object without its content."""

    object_version: ObjectVersion
    etag: str  # of the store, for If-Match
    content_type: str | None
    metadata: dict[str, str]  # set by the uploader; keys in lower case without their prefix
    is_etag_md5: bool = True  # of its bytes, or of its parts; not so if the store encrypts with keys of a KMS

    @property
    def file_name(self) -> str | None:
        return read_file_name(self.metadata)

    @property
    def batch(self) -> str | None:
        return valid_batch(self.metadata.get(BATCH_METADATA))


class Storage:
    """A client for both buckets."""

    def __init__(self, settings: StoreSettings, *, connections: int = 10, retries: int = 1) -> None:
        self._url = settings.minio_url
        self._http = urllib3.PoolManager(
            maxsize=connections,
            block=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            # One silent retry for an idle connection that the server closed; more retries are the queue's task.
            retries=urllib3.Retry(total=retries, backoff_factor=0.1, redirect=0),
        )
        self._minio = Minio(
            settings.minio_url.partition("://")[2],
            access_key=settings.minio_access_key,
            secret_key=settings.minio_secret_key.get_secret_value(),
            secure=settings.minio_url.startswith("https:"),
            region=settings.minio_region,  # saves a request for the bucket's region
            http_client=self._http,
        )
        credentials = Credentials(
            settings.minio_access_key, settings.minio_secret_key.get_secret_value(), settings.minio_region
        )
        self._s3 = S3Client(settings.minio_url, credentials, connections=connections, resend=retries > 0)

    # --- reading -------------------------------------------------------------------------------------------

    def head(self, bucket: str, key: str) -> ObjectMetadata:
        """Return the metadata of the object under a key.

        Raise ObjectNotFoundError (for a folder marker, too), DependencyUnavailable, DependencyRejected.
        """
        with self._request("HEAD", bucket, key) as response:
            return _parse_metadata(key, response.headers)

    @contextmanager
    def open(
        self, bucket: str, key: str, *, etag: str | None = None, byte_range: tuple[int, int] | None = None
    ) -> Iterator[tuple[ObjectMetadata, Response]]:
        """Open an object for reading, only if it still has this ETag (that of ``ObjectVersion``).

        ``byte_range`` has the first and the last byte to read; the object must have both.

        Raise ObjectNotFoundError, PreconditionFailedError, DependencyUnavailable, DependencyRejected, also while
        the caller reads.
        """
        # ObjectVersion has only a hash of an ETag of another form, which MinIO cannot compare: check the response.
        headers = {"If-Match": f'"{etag}"'} if etag and normalize_etag(etag) == etag else {}
        if byte_range:
            headers["Range"] = f"bytes={byte_range[0]}-{byte_range[1]}"
        with self._request("GET", bucket, key, headers) as response:
            if byte_range and response.status != 206:
                raise MalformedResponseError(f"a response of status {response.status} to a range")
            metadata = _parse_metadata(key, response.headers)
            if etag and metadata.object_version.etag != etag:
                raise PreconditionFailedError(key)
            yield metadata, response

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        """Return the keys with a prefix. Raise DependencyUnavailable, DependencyRejected."""
        with map_errors():
            found = self._minio.list_objects(bucket, prefix=prefix, recursive=True)
            return [entry.object_name for entry in found if entry.object_name]

    def list_page(self, bucket: str, *, after: str = "", token: str = "") -> ListPage:
        """Return up to 1000 objects, sorted by key: those after a key, or those of the next page.

        A page's token costs MinIO a fraction of a new listing after a key. Objects below another object's key
        (``a/b`` where ``a`` exists) are in no listing, and folder markers are left out.

        Raise DependencyUnavailable, DependencyRejected.
        """
        start = {"continuation-token": token} if token else {"start-after": after} if after else {}
        query: Any = {"list-type": "2", "prefix": "", "max-keys": "1000", "encoding-type": "url", **start}
        with map_errors():
            response = self._minio._execute("GET", bucket, query_params=query)  # noqa: SLF001 - it has no public method for a page
            return parse_list_page(response.data, response.headers)

    # --- writing -------------------------------------------------------------------------------------------

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
    ) -> str:
        """Write an object in one request and return its ETag.

        Raise PreconditionFailedError if ``if_absent`` and there is an object, InvalidKeyError,
        DependencyUnavailable, DependencyRejected.
        """
        named = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        headers = {"Content-Type": content_type, **named, **_condition(if_absent=if_absent)}
        with self._request("PUT", bucket, key, headers, data) as response:
            return response.headers.get("etag", "").strip('"')

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; a missing one is no error.

        Raise InvalidKeyError, DependencyUnavailable, DependencyRejected.
        """
        with self._request("DELETE", bucket, key):  # not by minio-py, which rejects a key of only white space
            pass

    def delete_all(self, bucket: str, keys: list[str]) -> None:
        """Delete many objects. Raise DependencyUnavailable, DependencyRejected if any of them is not deleted."""
        with map_errors():
            for error in self._minio.remove_objects(bucket, [DeleteObject(key) for key in keys]):
                raise DependencyUnavailable("minio", f"{error.code} deleting {error.name}")

    # Multipart uploads, for a body of unknown length. minio-py has them only for a stream that it reads itself; the
    # gateway pushes its data. The calls are private there, and the version is pinned below 8.

    def create_multipart_upload(
        self, bucket: str, key: str, content_type: str, metadata: Mapping[str, str], *, if_absent: bool = False
    ) -> str:
        """Start a multipart upload and return its id.

        Raise PreconditionFailedError if ``if_absent`` and there is an object, InvalidKeyError,
        DependencyUnavailable, DependencyRejected.
        """
        named = {f"X-Amz-Meta-{name}": value for name, value in metadata.items()}
        headers: Any = {"Content-Type": content_type, **named, **_condition(if_absent=if_absent)}
        with map_errors(key):
            return str(self._minio._create_multipart_upload(bucket, key, headers))  # noqa: SLF001

    def upload_part(self, bucket: str, key: str, upload: str, number: int, data: bytes) -> StoredPart:
        """Upload a part; numbers start at 1. Raise DependencyUnavailable, DependencyRejected."""
        with map_errors(key):
            etag = self._minio._upload_part(bucket, key, data, None, upload, number)  # noqa: SLF001
            return StoredPart(number, str(etag), len(data))

    def complete_multipart_upload(
        self, bucket: str, key: str, upload: str, parts: list[StoredPart], *, if_absent: bool = False
    ) -> str:
        """Join the parts into an object and return its ETag.

        Raise UploadNotFoundError (also after it was completed), PreconditionFailedError if ``if_absent`` and there
        is an object, InvalidKeyError for parts that cannot be joined, DependencyUnavailable, DependencyRejected.
        """
        listed = "".join(
            f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(part.etag)}</ETag></Part>" for part in parts
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        headers: Any = {"Content-Type": "application/xml", **_condition(if_absent=if_absent)}
        with map_errors(key):  # minio-py's own method takes no headers
            response = self._minio._execute(  # noqa: SLF001
                "POST", bucket, key, body=body, headers=headers, query_params={"uploadId": upload}
            )
            done = CompleteMultipartUploadResult(response)
            if not done.etag:  # S3 may respond with 200 and an error in the body
                raise DependencyUnavailable("minio", "it did not complete the upload")
            return str(done.etag)

    def list_parts(self, bucket: str, key: str, upload: str) -> list[StoredPart]:
        """Return the parts that were uploaded so far, by number.

        Raise UploadNotFoundError, DependencyUnavailable, DependencyRejected.
        """
        parts: list[StoredPart] = []
        marker = None
        while True:
            with map_errors(key):
                page = self._minio._list_parts(bucket, key, upload, part_number_marker=marker)  # noqa: SLF001
            parts += [StoredPart(part.part_number, part.etag, part.size or 0) for part in page.parts]
            if not page.is_truncated:
                return parts
            marker = page.next_part_number_marker

    def abort_multipart_upload(self, bucket: str, key: str, upload: str) -> None:
        """Cancel a multipart upload; a missing one is no error. Raise DependencyUnavailable, DependencyRejected."""
        with map_errors(key):
            self._minio._abort_multipart_upload(bucket, key, upload)  # noqa: SLF001

    # --- presigned forms -----------------------------------------------------------------------------------

    def presign_post(
        self, bucket: str, key: str, content_type: str, max_bytes: int, lifetime: timedelta
    ) -> dict[str, str]:
        """Sign a POST form for one key, one content type and 1..max_bytes, without a request. Return its fields."""
        policy = PostPolicy(bucket, datetime.now(UTC) + lifetime)
        policy.add_equals_condition("key", key)
        policy.add_equals_condition("Content-Type", content_type)
        policy.add_content_length_range_condition(1, max_bytes)
        fields: dict[str, str] = self._minio.presigned_post_policy(policy)
        return {"key": key, "Content-Type": content_type, **fields}

    def verify_presigned_post(self, bucket: str, key: str) -> None:
        """Submit a presigned form with a file that is too small to be stored.

        Raise DependencyRejected if the store rejects the signature, DependencyUnavailable if it does not respond.
        """
        fields = self.presign_post(bucket, key, "image/jpeg", 1, timedelta(minutes=5))
        with map_errors():
            response = self._http.request(
                "POST", f"{self._url}/{bucket}", fields={**fields, "file": ("empty", b"")}
            )
        code = find_error_code(response.data.decode(errors="replace")) or str(response.status)
        if response.status == 403:
            raise DependencyRejected("minio", f"{code} for an upload form")
        if code != "EntityTooSmall":
            raise DependencyUnavailable("minio", f"{code} for an upload form")

    @contextmanager
    def _request(
        self, method: str, bucket: str, key: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Iterator[Response]:
        with map_errors(key):
            if not key or key.startswith("/"):  # MinIO removes the slash, and returns the object of another key
                raise ValueError("a key must not be empty or start with a slash")
            with self._s3.request(method, bucket, key, headers, body) as response:
                # A 404 of another server does not mean that the object is missing.
                if "x-amz-request-id" not in response.headers:
                    raise DependencyUnavailable(
                        "minio", f"{response.status} from a server that is not an object store: check MINIO_URL"
                    )
                if response.status not in {200, 204, 206}:
                    raise read_error(response, bucket, key)
                yield response

    # --- checking ------------------------------------------------------------------------------------------

    def check(self, *buckets: str) -> None:
        """Check that the store responds, accepts the credentials, and has the buckets.

        Raise DependencyUnavailable, or DependencyRejected if waiting would not help.
        """
        for bucket in buckets:
            with map_errors():
                if not self._minio.bucket_exists(bucket):
                    raise DependencyRejected(
                        "minio", f"bucket {bucket!r} does not exist: run infra/minio/provision.py"
                    )

    def is_versioned(self, bucket: str) -> bool:
        """Return whether versioning is on. Raise DependencyUnavailable, DependencyRejected."""
        with map_errors():
            return self._minio.get_bucket_versioning(bucket).status == "Enabled"

    def ping(self) -> None:
        """Send MinIO a health check. Raise DependencyUnavailable."""
        with map_errors():
            response = self._http.request(
                "GET", f"{self._url}/minio/health/ready", timeout=CONNECT_SECONDS, retries=False
            )
            if response.status != 200:
                raise DependencyUnavailable("minio", f"its health check responded with status {response.status}")


def _condition(*, if_absent: bool) -> dict[str, str]:
    """Return the header of a request that writes an object only if there is none."""
    return {"If-None-Match": "*"} if if_absent else {}


def _parse_metadata(key: str, headers: Mapping[str, str]) -> ObjectMetadata:
    """Parse a response's headers, whose names are in lower case.

    Raise MalformedResponseError if they describe no object, ObjectNotFoundError if they describe a folder marker.
    """
    etag = headers.get("etag", "").strip('"')
    metadata = {k.removeprefix("x-amz-meta-"): v for k, v in headers.items() if k.startswith("x-amz-meta-")}
    try:
        modified = parsedate_to_datetime(headers["last-modified"])
        size = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "0")
        object_version = ObjectVersion(normalize_etag(etag), int(size), int(modified.timestamp()))
    except (KeyError, ValueError, OverflowError) as error:
        raise MalformedResponseError(f"its headers describe no object: {error!r}") from error
    if is_folder_marker(key, object_version.size):
        raise ObjectNotFoundError(key)
    return ObjectMetadata(
        object_version=object_version,
        etag=etag,
        content_type=headers.get("content-type"),
        metadata=metadata,
        is_etag_md5=headers.get("x-amz-server-side-encryption") != "aws:kms",
    )
