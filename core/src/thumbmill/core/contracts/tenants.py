"""Tenants: the groups of users that share an installation and see nothing of each other's images.

A tenant is a pure function of an object's key: ``t/<tenant>/…`` belongs to that tenant, every other key to the
default tenant, whose name is empty. So it is the same for every upload route, and for S3 clients.
"""

import hashlib
import re
import uuid
from typing import Annotated

from pydantic import AfterValidator

DEFAULT_TENANT = ""
TENANT_PATTERN = r"[a-z0-9][a-z0-9-]{0,31}"
TAG_BITS = 20

_NAME = re.compile(TENANT_PATTERN)
_KEY = re.compile(rf"t/({TENANT_PATTERN})/.*", re.DOTALL)


def is_tenant_name(name: str) -> bool:
    """Return whether a tenant other than the default one can have this name."""
    return bool(_NAME.fullmatch(name))


def tenant_of(key: str) -> str:
    """Return the tenant of a key of the bucket of originals."""
    found = _KEY.fullmatch(key)
    return found[1] if found else DEFAULT_TENANT


def tenant_prefix(tenant: str) -> str:
    """Return the prefix of all keys of a tenant; the default tenant's keys have none."""
    return f"t/{tenant}/" if tenant else ""


def tenant_tag(tenant: str) -> int:
    """Return the bits by which the ids of a tenant's uploads are recognised; two tenants must not have the same."""
    return int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:3], "big") >> 24 - TAG_BITS


def add_tenant_tag(image_id: uuid.UUID, tenant: str) -> uuid.UUID:
    """Return the id with the tenant's tag in its last bits. The ids of the default tenant have no tag."""
    if not tenant:
        return image_id
    return uuid.UUID(int=image_id.int >> TAG_BITS << TAG_BITS | tenant_tag(tenant))


def has_tenant_tag(image_id: uuid.UUID, tenant: str) -> bool:
    """Return whether an id can be that of an upload of this tenant through the gateway."""
    return add_tenant_tag(image_id, tenant) == image_id


def _check_name(name: str) -> str:
    if name and not is_tenant_name(name):
        raise ValueError("a tenant's name has 1 to 32 characters of a-z, 0-9 and -, and does not begin with -")
    return name


Tenant = Annotated[str, AfterValidator(_check_name)]  # empty: the default tenant
