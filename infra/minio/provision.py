"""Provisions a running MinIO: users with their policies, buckets, notifications. It is idempotent.

Compose and devstack run it once when MinIO is up, and then with --watch while the system runs. Needs the packages
minio and tenacity, and no package of this project.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tenacity
import urllib3
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error
from minio.minioadmin import MinioAdmin
from minio.notificationconfig import NotificationConfig, QueueConfig

POLICIES = Path(__file__).parent / "policies"
# Each user's access key is its policy's name; its secret is in this variable, or in the file that X_FILE names.
SECRETS = {
    "gateway": "GATEWAY_MINIO_SECRET_KEY",
    "upload-signer": "UPLOAD_SIGNER_SECRET_KEY",
    "part-signer": "PART_SIGNER_SECRET_KEY",
    "thumbnailer": "THUMBNAILER_MINIO_SECRET_KEY",
    "status-tracker": "STATUS_TRACKER_MINIO_SECRET_KEY",
    "s3-uploader": "S3_UPLOADER_SECRET_KEY",  # for people and programs that upload by S3
}
ORIGINALS = "images-original"
BUCKETS = (ORIGINALS, "images-processed")
TARGETS = ("arn:minio:sqs::IMMEDIATE:amqp", "arn:minio:sqs::DURABLE:amqp")
# Listed one by one: s3:ObjectCreated:* would include changes of tags and retention.
EVENTS = (
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
)
_HTTP_TIMEOUT_SECONDS = 10.0

Log = Callable[..., None]  # gets the state of an item, and ``changed``, whether it had to be changed


class ProvisionError(Exception):
    """The message explains what to do."""


_ERRORS = (ProvisionError, MinioAdminException, S3Error, urllib3.exceptions.HTTPError)


def main() -> int:
    """Provision the server and log the changes. Return 1 with a message if an operator has to act."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=f"Environment: MINIO_URL, MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, {', '.join(SECRETS.values())}. "
        "Any secret X may be given as a file by X_FILE.",
    )
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="for MinIO to respond (60)")
    parser.add_argument(
        "--watch", type=float, metavar="SECONDS", help="keep running, and restore what is missing at this interval"
    )
    arguments = parser.parse_args()
    url = os.environ.get("MINIO_URL") or "http://127.0.0.1:9000"
    try:
        provision(url, arguments.wait, _log_all)
    except _ERRORS as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    if arguments.watch:
        watch(url, arguments.wait, arguments.watch)
    return 0


def watch(url: str, timeout_seconds: float, interval_seconds: float) -> None:
    """Provision at an interval until SIGTERM, and log only changes and new errors."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    last_error = ""
    while not stop.wait(interval_seconds):
        try:
            provision(url, timeout_seconds, _log_changes)
            last_error = ""
        except _ERRORS as error:
            if str(error) != last_error:
                print(f"provision: {error}", file=sys.stderr, flush=True)
            last_error = str(error)


def _log_changes(line: str, *, changed: bool = False) -> None:
    if changed:
        print(f"restored: {line}", flush=True)


def _log_all(line: str, *, changed: bool = False) -> None:
    print(f"{line}{' (new)' if changed else ''}", flush=True)


def provision(url: str, timeout_seconds: float, log: Log) -> None:
    """Create or update what this project needs on the server at the URL. Raise ProvisionError."""
    address = urlsplit(url)
    user, password = read_secret("MINIO_ROOT_USER"), read_secret("MINIO_ROOT_PASSWORD")
    secrets = {name: read_secret(variable) for name, variable in SECRETS.items()}
    http, secure = urllib3.PoolManager(timeout=_HTTP_TIMEOUT_SECONDS, retries=False), address.scheme == "https"

    def connect_admin(url: str) -> MinioAdmin:
        keys = StaticProvider(user, password)
        return MinioAdmin(endpoint=urlsplit(url).netloc, credentials=keys, secure=secure, http_client=http)

    def connect(access_key: str, secret_key: str) -> Minio:
        keys = StaticProvider(access_key, secret_key)
        return Minio(address.netloc, credentials=keys, secure=secure, region="us-east-1", http_client=http)

    client, admin = connect(user, password), connect_admin(url)
    log(wait_for_targets(connect_admin, url, timeout_seconds))
    for name, secret in secrets.items():
        add_user(admin, connect, name, secret, log)
    for bucket in BUCKETS:
        make_bucket(client, bucket, log)
    subscribe(client, ORIGINALS, log)


def read_secret(name: str) -> str:
    """Return a variable's value, or the content of the file that NAME_FILE names. Raise ProvisionError."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    if value := os.environ.get(name):
        return value
    raise ProvisionError(f"set {name} (or {name}_FILE)")


def wait_for_targets(connect_admin: Callable[[str], MinioAdmin], url: str, timeout_seconds: float) -> str:
    """Wait until every node of the server has both notification targets. Return a log line. Raise ProvisionError.

    A node that has just started responds for some hundred milliseconds before it has its targets, so they are
    missing only if the timeout has passed. Behind a load balancer each node is asked, at MinIO's address for it.
    """
    deadline = time.monotonic() + timeout_seconds
    servers = _poll_targets(connect_admin(url), url, deadline)["servers"]
    others = (
        [server["endpoint"] for server in servers if server.get("state") == "online"] if len(servers) > 1 else []
    )
    for node in (f"{urlsplit(url).scheme}://{endpoint}" for endpoint in others):
        _poll_targets(connect_admin(node), node, deadline)
    nodes = f" at each of {len(others)} nodes" if others else ""
    return f"notification targets{nodes}: {', '.join(TARGETS)}"


def _poll_targets(admin: MinioAdmin, url: str, deadline: float) -> dict[str, Any]:
    """Return the server's description once it has both targets. Raise ProvisionError at the deadline."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_temporary)
        | tenacity.retry_if_result(lambda found: bool(_missing_targets(found))),
        wait=tenacity.wait_exponential(0.1, max=2),
        stop=tenacity.stop_after_delay(max(0.0, deadline - time.monotonic())),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    try:
        found: dict[str, Any] = retrying(lambda: json.loads(admin.info()))
    except urllib3.exceptions.HTTPError as error:
        raise ProvisionError(f"MinIO at {url} does not respond: {error}") from error
    if missing := _missing_targets(found):
        raise ProvisionError(
            f"MinIO at {url} has no notification target {' and '.join(missing)} (it has "
            f"{', '.join(found.get('sqsARN') or ['none'])}). One wrong value disables all of them, and "
            "misspelt names are ignored: compare its variables MINIO_NOTIFY_AMQP_* with infra/minio/minio.env, and "
            "search its log for 'notify'"
        )
    return found


def _missing_targets(found: Mapping[str, Any]) -> list[str]:
    return sorted(set(TARGETS) - set(found.get("sqsARN") or []))


def add_user(admin: MinioAdmin, connect: Callable[[str, str], Minio], name: str, secret: str, log: Log) -> None:
    """Create or update a user, with its policy and no other."""
    policy = json.loads((POLICIES / f"{name}.json").read_text(encoding="utf-8"))
    if has_changed := _find_policy(admin, name) != _comparable_policy(policy):
        admin.policy_add(name, policy=policy)
    if not _is_secret_of(connect(name, secret)):  # user_add encrypts, which costs 0.1 s
        admin.user_add(name, secret)
        has_changed = True
    attached = set(json.loads(admin.user_info(name)).get("policyName", "").split(",")) - {""}
    if name not in attached:
        attach(admin, name)
        has_changed = True
    if others := sorted(attached - {name}):
        admin.detach_policy(others, user=name)
        log(f"user {name} had the policies {', '.join(others)}: detached", changed=True)
    remove_extra_access(admin, name, log)
    log(f"user {name} with its policy", changed=has_changed)


def attach(admin: MinioAdmin, name: str) -> None:
    """Attach a user's policy; another run of this program may have done so at the same time."""
    try:
        admin.attach_policy([name], user=name)
    except MinioAdminException as error:
        if "XMinioAdminPolicyChangeAlreadyApplied" not in str(error):
            raise


def remove_extra_access(admin: MinioAdmin, name: str, log: Log) -> None:
    """Remove service accounts and group memberships of a user, which could outlast its secret or add permissions.

    Service accounts are useless anyway: the policies deny all requests that are not signed with the user's own
    secret. Users and keys that this program does not manage are left alone.
    """
    for account in json.loads(admin.list_service_account(name)).get("accounts") or []:
        admin.delete_service_account(account["accessKey"])
        log(f"user {name} had the service account {account['accessKey']}: removed", changed=True)
    for group in json.loads(admin.user_info(name)).get("memberOf") or []:
        admin.group_remove(group, [name])  # type: ignore[arg-type] # the server wants a list
        log(f"user {name} was in the group {group}: removed", changed=True)


def _find_policy(admin: MinioAdmin, name: str) -> list[str]:
    try:
        found = json.loads(admin.policy_info(name))
    except MinioAdminException:
        return []  # the policy does not exist
    return _comparable_policy(found.get("Policy", found))


def _comparable_policy(policy: Mapping[str, Any]) -> list[str]:
    """Return a policy's statements in a canonical form: MinIO reorders lists, and replaces a list of one."""
    return sorted(json.dumps(_canonical(statement), sort_keys=True) for statement in policy.get("Statement") or [])


def _canonical(value: Any) -> Any:
    match value:
        case dict():
            return {name: _canonical(part) for name, part in value.items()}
        case [single]:
            return single
        case list():
            return sorted(value)
        case _:
            return value


def _is_secret_of(client: Minio) -> bool:
    """Return whether the user exists and has this secret, with any permissions."""
    try:
        next(client.list_objects(ORIGINALS), None)  # not HEAD, whose 403 has no error code
    except S3Error as error:
        return error.code not in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "XMinioAccessKeyDisabled"}
    return True


def make_bucket(client: Minio, bucket: str, log: Log) -> None:
    """Create a bucket if it is missing. Raise ProvisionError if versioning was ever enabled."""
    is_new = True
    try:
        client.make_bucket(bucket)
    except S3Error as error:
        is_new = False
        if error.code != "BucketAlreadyOwnedByYou":
            raise
    status = client.get_bucket_versioning(bucket).status
    if status not in (None, "Off"):
        raise ProvisionError(
            f"versioning of bucket {bucket} is {status}: deleted images would stay readable. Versioning cannot be "
            "disabled again: move the objects to a new bucket of the same name"
        )
    log(f"bucket {bucket}", changed=is_new)


def subscribe(client: Minio, bucket: str, log: Log) -> None:
    """Subscribe both targets to the bucket's events, only if they are not: replacing the rules leaves a gap."""
    wanted = [QueueConfig(queue=target, events=list(EVENTS), config_id=target.split(":")[-2]) for target in TARGETS]
    found = _comparable(client.get_bucket_notification(bucket).queue_config_list)
    if is_different := found != _comparable(wanted):
        client.set_bucket_notification(bucket, NotificationConfig(queue_config_list=wanted))
    log(f"bucket {bucket} notifies both targets of {len(EVENTS)} event types", changed=is_different)


def _comparable(queues: Iterable[QueueConfig]) -> set[tuple[str | None, frozenset[str]]]:
    return {(queue.queue, frozenset(queue.events)) for queue in queues}


def _is_temporary(error: BaseException) -> bool:
    """Return whether MinIO may still be starting: it does not respond yet, or with 503."""
    return isinstance(error, urllib3.exceptions.HTTPError) or (
        isinstance(error, MinioAdminException) and "Status: 503" in str(error)
    )


if __name__ == "__main__":
    sys.exit(main())
