"""Presigned URLs of single parts of a multipart upload.

minio-py signs only the host of a presigned URL. With the Content-Length signed, too, the store accepts a part of
exactly this size: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.errors import find_error_code, map_errors
from thumbmill.core.object_store.http_client import CONNECT_SECONDS, READ_SECONDS, Credentials, derive_signing_key
from thumbmill.core.settings import StoreSettings

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class PartSigner:
    """Signs with the key of a user that has no other rights."""

    def __init__(self, settings: StoreSettings, public_url: str) -> None:
        """``public_url`` is the store as clients see it: they send its host, which is signed."""
        self._url = settings.minio_url
        self._public_url = public_url
        self._credentials = Credentials(
            settings.minio_access_key, settings.minio_secret_key.get_secret_value(), settings.minio_region
        )

    def sign(self, bucket: str, key: str, upload: str, number: int, size: int | None, lifetime: timedelta) -> str:
        """Return the URL to PUT a part to; with a size, it accepts exactly this many bytes."""
        return presign_part(
            self._public_url, self._credentials, bucket, key, upload, number, size, lifetime, datetime.now(UTC)
        )

    def verify(self, bucket: str, key: str) -> None:
        """Send a part of an upload that does not exist.

        Raise DependencyRejected if the store rejects the signature, DependencyUnavailable if it does not respond.
        """
        now = datetime.now(UTC)
        url = presign_part(self._url, self._credentials, bucket, key, "none", 1, 1, timedelta(minutes=5), now)
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        with map_errors(), urllib3.PoolManager(timeout=timeout, retries=False) as http:
            response = http.request("PUT", url, body=b"x")
        code = find_error_code(response.data.decode(errors="replace")) or str(response.status)
        if response.status == 403:
            raise DependencyRejected("minio", f"{code} for a part")
        if code != "NoSuchUpload":
            raise DependencyUnavailable("minio", f"{code} for a part")


def presign_part(
    url: str,
    credentials: Credentials,
    bucket: str,
    key: str,
    upload: str,
    number: int,
    size: int | None,
    lifetime: timedelta,
    now: datetime,
) -> str:
    """Return a presigned URL for one part of a multipart upload."""
    time = now.strftime("%Y%m%dT%H%M%SZ")
    date = time[:8]
    scope = f"{date}/{credentials.region}/s3/aws4_request"
    address = urlsplit(url)
    # Clients leave out the default port of a Host header.
    signed = {"host": address.netloc.removesuffix(_DEFAULT_PORTS[address.scheme])}
    if size is not None:
        signed = {"content-length": str(size), **signed}
    names = ";".join(signed)
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": f"{lifetime.total_seconds():.0f}",
        "X-Amz-SignedHeaders": names,
        "partNumber": str(number),
        "uploadId": upload,
    }
    query = urlencode(parameters, quote_via=quote, safe="")  # sorted: upper case comes first
    path = f"/{bucket}/{quote(key)}"
    headers = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"PUT\n{path}\n{query}\n{headers}\n{names}\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(derive_signing_key(credentials, date), text.encode(), "sha256").hex()
    return f"{address.scheme}://{signed['host']}{path}?{query}&X-Amz-Signature={signature}"
