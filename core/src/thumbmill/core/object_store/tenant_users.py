"""MinIO's users for the S3 clients of tenants: one user a tenant, who reaches the keys of that tenant only."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.tenants import tenant_prefix
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.http_client import CONNECT_SECONDS, READ_SECONDS

_SECRET_BYTES = 30
_SIGNED_BY_USER = {"StringEquals": {"s3:authType": "REST-HEADER"}}


class TenantUsers:
    """Creates users as MinIO's root. Every method raises DependencyUnavailable or DependencyRejected."""

    def __init__(self, url: str, root_user: str, root_password: str) -> None:
        address = urlsplit(url)
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        self._admin = MinioAdmin(
            endpoint=address.netloc,
            credentials=StaticProvider(root_user, root_password),
            secure=address.scheme == "https",
            http_client=urllib3.PoolManager(timeout=timeout, retries=False),
        )

    def exists(self, tenant: str) -> bool:
        """Return whether the tenant has a user."""
        with _map_errors():
            return user_of(tenant) in json.loads(self._admin.user_list())

    def write(self, tenant: str) -> str:
        """Create the tenant's user, or give it another secret; return the secret."""
        name, secret = user_of(tenant), secrets.token_urlsafe(_SECRET_BYTES)
        with _map_errors():
            self._admin.policy_add(name, policy=make_policy(tenant))  # before there is a user who could lack it
            self._admin.user_add(name, secret)
            try:
                self._admin.attach_policy([name], user=name)
            except MinioAdminException as error:
                if "XMinioAdminPolicyChangeAlreadyApplied" not in str(error):
                    raise
        return secret

    def remove(self, tenant: str) -> None:
        """Remove the tenant's user; the images stay."""
        with _map_errors():
            self._admin.user_remove(user_of(tenant))
            self._admin.policy_remove(user_of(tenant))


def user_of(tenant: str) -> str:
    """Return the name of the tenant's user and of its policy, which is also its access key."""
    return f"tenant-{tenant}"


def make_policy(tenant: str) -> dict[str, Any]:
    """Return what the tenant's user may do: everything with its own keys, but for those that the gateway makes.

    Only requests that are signed with the user's own secret count: access keys and URLs that the user makes would
    outlast a change of its secret.
    """
    bucket, prefix = f"arn:aws:s3:::{ORIGINALS_BUCKET}", tenant_prefix(tenant)
    objects = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [f"s3:{action}" for action in objects],
                "Resource": [f"{bucket}/{prefix}*"],
                "Condition": _SIGNED_BY_USER,
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [bucket],
                "Condition": {**_SIGNED_BY_USER, "StringLike": {"s3:prefix": [f"{prefix}*"]}},
            },
            {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation"],
                "Resource": [bucket],
                "Condition": _SIGNED_BY_USER,
            },
            {"Effect": "Deny", "Action": ["s3:PutObject"], "Resource": [f"{bucket}/{prefix}uploads/*"]},
            {
                "Effect": "Deny",
                "Action": ["s3:*"],
                "Resource": ["arn:aws:s3:::*"],
                "Condition": {"StringNotEquals": {"aws:principaltype": "User"}},
            },
            {"Effect": "Deny", "Action": ["admin:*"]},
        ],
    }


@contextmanager
def _map_errors() -> Iterator[None]:
    try:
        yield
    except MinioAdminException as error:
        text = " ".join(str(error).split())
        if "Status: 5" in text:
            raise DependencyUnavailable("minio", text) from error
        raise DependencyRejected("minio", f"{text}: check MINIO_ROOT_USER and MINIO_ROOT_PASSWORD") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise DependencyUnavailable("minio", error) from error
