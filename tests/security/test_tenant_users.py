"""The MinIO user of a tenant: S3 clients reach the images of their tenant only."""

from contextlib import closing

import pytest
from botocore.exceptions import ClientError

from tests.security.test_minio_users import client
from tests.support.images import photo
from tests.support.operator_cli import thumbmill
from tests.support.system import ORIGINALS, PROCESSED, System
from tests.support.waiting import wait_until

LONG = "t" + "0-" * 15 + "9"  # 32 characters
TENANTS = ("s3-clients", LONG)


def login(system, output):
    """Return an S3 client with the credentials that the command line has printed."""
    found = dict(line.split(": ", 1) for line in output.splitlines() if " key: " in line)
    return client(system, "s3", found["access key"], found["secret key"])


@pytest.fixture(scope="module")
def tenants(stack):
    with closing(System(stack)) as system:
        yield {tenant: login(system, thumbmill(system, "tenants", "create", tenant)) for tenant in TENANTS}
        for tenant in TENANTS:
            thumbmill(system, "tenants", "remove", tenant)


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenants_client_stores_reads_lists_and_deletes_its_own_objects(system, tenants, tenant):
    s3, key = tenants[tenant], f"t/{tenant}/holiday/beach.jpg"
    s3.put_object(Bucket=ORIGINALS, Key=key, Body=photo(), ContentType="image/jpeg")
    assert s3.get_object(Bucket=ORIGINALS, Key=key)["Body"].read() == photo()
    listed = s3.list_objects_v2(Bucket=ORIGINALS, Prefix=f"t/{tenant}/")["Contents"]
    assert [entry["Key"] for entry in listed] == [key]
    query = "SELECT tenant FROM image_status WHERE key = %s"
    assert wait_until(lambda: system.query(query, key), 60, "its row") == [(tenant,)]
    s3.delete_object(Bucket=ORIGINALS, Key=key)


@pytest.mark.parametrize(
    "key", [f"t/{LONG}/x.jpg", "t/s3-clients-2/x.jpg", "x.jpg", "t/s3-clients", "t/s3-clients/uploads/x/original"]
)
def test_a_tenants_client_stores_nothing_elsewhere(tenants, key):
    assert_denied(lambda: tenants["s3-clients"].put_object(Bucket=ORIGINALS, Key=key, Body=photo()))


def test_a_tenants_client_reads_and_lists_nothing_of_others(tenants):
    s3, key = tenants["s3-clients"], f"t/{LONG}/secret.jpg"
    tenants[LONG].put_object(Bucket=ORIGINALS, Key=key, Body=photo())
    for attempt in (
        lambda: s3.get_object(Bucket=ORIGINALS, Key=key),
        lambda: s3.head_object(Bucket=ORIGINALS, Key=key),
        lambda: s3.delete_object(Bucket=ORIGINALS, Key=key),
        lambda: s3.list_objects_v2(Bucket=ORIGINALS),
        lambda: s3.list_objects_v2(Bucket=ORIGINALS, Prefix="t/"),
        lambda: s3.list_objects_v2(Bucket=ORIGINALS, Prefix=f"t/{LONG}/"),
        lambda: s3.list_objects_v2(Bucket=PROCESSED),
    ):
        assert_denied(attempt)
    tenants[LONG].delete_object(Bucket=ORIGINALS, Key=key)


def test_the_uploader_of_the_default_tenant_stores_nothing_for_a_tenant(system):
    s3 = client(system, "s3", "s3-uploader", system.secrets["S3_UPLOADER_SECRET_KEY"])
    assert_denied(lambda: s3.put_object(Bucket=ORIGINALS, Key="t/s3-clients/x.jpg", Body=photo()))


def test_a_rotated_secret_is_invalid_at_once(system, tenants):
    old = tenants["s3-clients"]
    new = tenants["s3-clients"] = login(system, thumbmill(system, "tenants", "rotate", "s3-clients"))
    assert "Contents" not in new.list_objects_v2(Bucket=ORIGINALS, Prefix="t/s3-clients/none/")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        old.list_objects_v2(Bucket=ORIGINALS, Prefix="t/s3-clients/")


def test_wrong_use_is_named(system, tenants):
    assert "rotate" in thumbmill(system, "tenants", "create", "s3-clients", code=2)
    assert "create" in thumbmill(system, "tenants", "rotate", "nobody", code=3)
    assert "1 to 32 characters" in thumbmill(system, "tenants", "create", "Acme", code=2)


def assert_denied(attempt):
    with pytest.raises(ClientError) as refusal:
        attempt()
    assert refusal.value.response["Error"]["Code"] in {"AccessDenied", "403"}
