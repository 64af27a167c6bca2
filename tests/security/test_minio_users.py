"""The power of a leaked secret of a MinIO user: the user's own work until it is changed, and nothing after."""

import json
import subprocess
from contextlib import contextmanager

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from devstack.minio import describe_provision
from tests.support.images import photo
from tests.support.system import ORIGINALS, PROCESSED

SECRETS = {
    "gateway": "GATEWAY_MINIO_SECRET_KEY",
    "thumbnailer": "THUMBNAILER_MINIO_SECRET_KEY",
    "status-tracker": "STATUS_TRACKER_MINIO_SECRET_KEY",
    "upload-signer": "UPLOAD_SIGNER_SECRET_KEY",
    "part-signer": "PART_SIGNER_SECRET_KEY",
    "s3-uploader": "S3_UPLOADER_SECRET_KEY",
}
WEEK = 7 * 24 * 3600  # seconds, the longest that MinIO issues


@pytest.fixture(params=SECRETS)
def user(request):
    return request.param


def admin_as(system, name, secret):
    keys = StaticProvider(name, secret)
    return MinioAdmin(endpoint=f"127.0.0.1:{system.ports['MINIO_PORT']}", credentials=keys, secure=False)


def root(system):
    return admin_as(system, system.secrets["MINIO_ROOT_USER"], system.secrets["MINIO_ROOT_PASSWORD"])


def client(system, kind, access_key, secret_key, token=None):
    return boto3.client(
        kind,
        endpoint_url=f"http://127.0.0.1:{system.ports['MINIO_PORT']}",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}),
    )


def provision(system):
    """Run the provisioner again, as every start does; return its output."""
    command, environment = describe_provision(system.stack.installation)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def assert_denied(s3, image):
    """Check that every request is denied that the users' policies allow with the user's own secret."""
    others = {"Bucket": ORIGINALS, "Key": image["key"]}
    for attempt in (
        lambda: s3.get_object(**others),
        lambda: s3.head_object(**others),
        lambda: s3.delete_object(**others),
        lambda: s3.put_object(Bucket=ORIGINALS, Key="stolen.jpg", Body=photo()),
        lambda: s3.put_object(Bucket=PROCESSED, Key=f"{image['id']}/stolen", Body=b""),
        lambda: s3.create_multipart_upload(Bucket=ORIGINALS, Key="stolen.jpg"),
        lambda: s3.list_objects_v2(Bucket=ORIGINALS),
        lambda: s3.list_objects_v2(Bucket=PROCESSED),
        lambda: s3.get_bucket_versioning(Bucket=ORIGINALS),
    ):
        with pytest.raises(ClientError) as refusal:
            attempt()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    form = s3.generate_presigned_post(ORIGINALS, "uploads/stolen")
    assert httpx.post(form["url"], data=form["fields"], files={"file": photo()}).status_code == 403


@contextmanager
def permissive(system, user):
    """Replace the user's policy by its earlier form, which does not deny other keys than its secret."""
    admin = root(system)
    policy = json.loads(admin.policy_info(user))
    policy = policy.get("Policy", policy)
    allowed = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    admin.policy_add(user, policy={**policy, "Statement": allowed})
    try:
        yield
    finally:
        admin.policy_add(user, policy=policy)


@pytest.fixture
def image(system):
    return system.wait_status(system.post_form(photo())["id"])


def test_a_user_cannot_create_access_keys(system, user):
    own = admin_as(system, user, system.secrets[SECRETS[user]])
    for attempt in (
        lambda: own.add_service_account(access_key=f"spare-{user}"[:20], secret_key="spare-secret"),
        lambda: own.user_add(user, "a-secret-of-my-own"),
        lambda: own.user_add("another", "a-secret-of-my-own"),
        own.user_list,
        own.info,
    ):
        with pytest.raises(MinioAdminException, match=r"Access ?Denied"):
            attempt()


def test_temporary_keys_give_no_access(system, user, image):
    """This build issues them without checking the policy, so the policy must deny their use."""
    sts = client(system, "sts", user, system.secrets[SECRETS[user]])
    try:
        keys = sts.assume_role(RoleArn="arn:x:ignored:by:minio", RoleSessionName="thief", DurationSeconds=WEEK)[
            "Credentials"
        ]
    except ClientError:
        return  # a newer build that issues none
    stolen = keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
    s3 = client(system, "s3", *stolen)
    assert_denied(s3, image)
    if user in {"gateway", "thumbnailer", "status-tracker"}:
        with permissive(system, user):  # or the test would prove nothing
            assert s3.list_objects_v2(Bucket=ORIGINALS)["KeyCount"]


def test_an_earlier_service_account_gives_no_access_and_is_removed(system, user, image):
    name, secret = f"spare-{user}"[:20], "spare-secret"
    with permissive(system, user):
        own = admin_as(system, user, system.secrets[SECRETS[user]])
        own.add_service_account(access_key=name, secret_key=secret)
    try:
        assert_denied(client(system, "s3", name, secret), image)
        assert f"user {user} had the service account {name}: removed" in provision(system)
        assert name not in root(system).list_service_account(user)
    finally:
        provision(system)


def test_extra_policies_of_a_user_are_removed_and_others_stay(system):
    admin = root(system)
    admin.user_add("colleague", "a-colleagues-secret")
    admin.policy_set("readonly", user="colleague")
    admin_as(system, "colleague", "a-colleagues-secret").add_service_account(
        access_key="colleagues", secret_key="secret-key"
    )
    admin.group_add("friends", ["gateway", "colleague"])
    admin.attach_policy(["readwrite"], user="thumbnailer")
    try:
        output = provision(system)
        assert "user gateway was in the group friends: removed" in output
        assert "user thumbnailer had the policies readwrite: detached" in output
        assert json.loads(admin.group_info("friends"))["members"] == ["colleague"]
        assert "colleagues" in admin.list_service_account("colleague")
        assert "readonly" in admin.user_info("colleague")
    finally:
        admin.group_remove("friends", ["colleague"])
        admin.group_remove("friends")
        admin.user_remove("colleague")


def test_a_changed_secret_invalidates_the_old_one(system, user, image):
    old = system.secrets[SECRETS[user]]
    root(system).user_add(user, "another-secret-for-a-while")
    try:
        assert_denied(client(system, "s3", user, old), image)
    finally:
        provision(system)
