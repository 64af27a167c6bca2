"""Prepares a running MinIO: users with their policies, buckets, notifications. It may run any number of times.

Compose and devstack run it once after MinIO is up, and then with --watch beside the system. Needs the packages
minio and tenacity, nothing of ours.
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
from typing import Any, Protocol
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
    "thumbnailer": "THUMBNAILER_MINIO_SECRET_KEY",
    "status-tracker": "STATUS_TRACKER_MINIO_SECRET_KEY",
    "s3-uploader": "S3_UPLOADER_SECRET_KEY",  # for people and programs that upload by S3; no service of ours
}
ORIGINALS = "images-original"
BUCKETS = (ORIGINALS, "images-processed")
TARGETS = ("arn:minio:sqs::IMMEDIATE:amqp", "arn:minio:sqs::DURABLE:amqp")
# One by one: s3:ObjectCreated:* would include changes of tags and retention.
EVENTS = (
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
)
_HTTP_TIMEOUT_SECONDS = 10.0


class Say(Protocol):
    """Is told what was found, and whether it had to be changed."""

    def __call__(self, line: str, *, changed: bool = False) -> None: ...


class ProvisionError(Exception):
    """The message says what to do."""


_FAULTS = (ProvisionError, MinioAdminException, S3Error, urllib3.exceptions.HTTPError)


def main() -> int:
    """Prepare the server and say what was done; 1 with a message for what a person has to put right."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=f"Environment: MINIO_URL, MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, {', '.join(SECRETS.values())}. "
        "Any secret X may be given as a file by X_FILE.",
    )
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="for MinIO to answer (60)")
    parser.add_argument(
        "--watch", type=float, metavar="SECONDS", help="stay, and put back every so often what somebody took away"
    )
    arguments = parser.parse_args()
    url = os.environ.get("MINIO_URL") or "http://127.0.0.1:9000"
    try:
        provision(url, arguments.wait, _say_all)
    except _FAULTS as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    if arguments.watch:
        watch(url, arguments.wait, arguments.watch)
    return 0


def watch(url: str, patience_seconds: float, pause_seconds: float) -> None:
    """Provision again and again, and say only what was not as it should be, or why it cannot be looked at."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    said = ""
    while not stop.wait(pause_seconds):
        try:
            provision(url, patience_seconds, _say_changes)
            said = ""
        except _FAULTS as error:
            if str(error) != said:
                print(f"provision: {error}", file=sys.stderr, flush=True)
            said = str(error)


def _say_changes(line: str, *, changed: bool = False) -> None:
    if changed:
        print(f"put right: {line}", flush=True)


def _say_all(line: str, *, changed: bool = False) -> None:
    print(f"{line}{' (new)' if changed else ''}", flush=True)


def provision(url: str, patience_seconds: float, say: Say) -> None:
    """Bring the server at the URL to the state this project needs; ``say`` is told what is there, and what changed.

    Raises ProvisionError.
    """
    address = urlsplit(url)
    user, password = read_secret("MINIO_ROOT_USER"), read_secret("MINIO_ROOT_PASSWORD")
    secrets = {name: read_secret(variable) for name, variable in SECRETS.items()}
    http = urllib3.PoolManager(timeout=_HTTP_TIMEOUT_SECONDS, retries=False)
    secure = address.scheme == "https"

    def connect_admin(url: str) -> MinioAdmin:
        keys = StaticProvider(user, password)
        return MinioAdmin(endpoint=urlsplit(url).netloc, credentials=keys, secure=secure, http_client=http)

    def connect(access_key: str, secret_key: str) -> Minio:
        keys = StaticProvider(access_key, secret_key)
        return Minio(address.netloc, credentials=keys, secure=secure, region="us-east-1", http_client=http)

    client = connect(user, password)
    admin = connect_admin(url)
    say(wait_for_targets(connect_admin, url, patience_seconds))
    for name, secret in secrets.items():
        add_user(admin, connect, name, secret, say)
    for bucket in BUCKETS:
        make_bucket(client, bucket, say)
    subscribe(client, ORIGINALS, say)


def read_secret(name: str) -> str:
    """Return the variable's value, or the content of the file that NAME_FILE names. Raises ProvisionError."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    if value := os.environ.get(name):
        return value
    raise ProvisionError(f"set {name} (or {name}_FILE)")


def wait_for_targets(connect_admin: Callable[[str], MinioAdmin], url: str, patience_seconds: float) -> str:
    """Wait until every node of the server lists both notification targets, and say so. Raises ProvisionError.

    A node that has just started answers for some hundred milliseconds before it has its targets, so that their
    absence is final only when the time is up. Behind a balancer the nodes are asked one by one, by the addresses
    that MinIO itself gives them.
    """
    deadline = time.monotonic() + patience_seconds
    servers = _ask_until(connect_admin(url), url, deadline)["servers"]
    others = (
        [server["endpoint"] for server in servers if server.get("state") == "online"] if len(servers) > 1 else []
    )
    scheme = urlsplit(url).scheme
    for endpoint in others:
        _ask_until(connect_admin(f"{scheme}://{endpoint}"), f"{scheme}://{endpoint}", deadline)
    nodes = f" at each of {len(others)} nodes" if others else ""
    return f"notification targets{nodes}: {', '.join(TARGETS)}"


def _ask_until(admin: MinioAdmin, url: str, deadline: float) -> dict[str, Any]:
    """Return the server's description when it has both targets. Raises ProvisionError at the deadline."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_passing)
        | tenacity.retry_if_result(lambda found: bool(_missing_targets(found))),
        wait=tenacity.wait_exponential(0.1, max=2),
        stop=tenacity.stop_after_delay(max(0.0, deadline - time.monotonic())),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    try:
        found: dict[str, Any] = retrying(lambda: json.loads(admin.info()))
    except urllib3.exceptions.HTTPError as error:
        raise ProvisionError(f"MinIO at {url} does not answer: {error}") from error
    if missing := _missing_targets(found):
        raise ProvisionError(
            f"MinIO at {url} has no notification target {' and '.join(missing)} (it has "
            f"{', '.join(found.get('sqsARN') or ['none'])}). It drops all of them for one bad value, and ignores "
            "misspelt names: compare its variables MINIO_NOTIFY_AMQP_* with infra/minio/minio.env, and look for "
            "'notify' in its log"
        )
    return found


def _missing_targets(found: Mapping[str, Any]) -> list[str]:
    return sorted(set(TARGETS) - set(found.get("sqsARN") or []))


def add_user(admin: MinioAdmin, connect: Callable[[str, str], Minio], name: str, secret: str, say: Say) -> None:
    """Make the user with its policy and no other, or bring both up to date."""
    policy = json.loads((POLICIES / f"{name}.json").read_text(encoding="utf-8"))
    if has_changed := _find_policy(admin, name) != _comparable_policy(policy):
        admin.policy_add(name, policy=policy)
    if not _is_secret_of(connect(name, secret)):  # what is encrypted for the administrator's interface costs 0.1 s
        admin.user_add(name, secret)
        has_changed = True
    attached = set(json.loads(admin.user_info(name)).get("policyName", "").split(",")) - {""}
    if name not in attached:
        attach(admin, name)
        has_changed = True
    if others := sorted(attached - {name}):
        admin.detach_policy(others, user=name)
        say(f"user {name} had the policies {', '.join(others)}: taken away", changed=True)
    remove_strangers(admin, name, say)
    say(f"user {name} with its policy", changed=has_changed)


def attach(admin: MinioAdmin, name: str) -> None:
    """Attach the user's policy, unless the set-up that runs at the same time has done so first."""
    try:
        admin.attach_policy([name], user=name)
    except MinioAdminException as error:
        if "XMinioAdminPolicyChangeAlreadyApplied" not in str(error):
            raise


def remove_strangers(admin: MinioAdmin, name: str, say: Say) -> None:
    """Take from a user of ours what would outlive its secret, or give it more rights: other keys, and groups.

    Keys of its own (service accounts) are of no use, since the policies deny all that does not come with the user's
    own secret. Other people's users and keys are left alone.
    """
    for account in json.loads(admin.list_service_account(name)).get("accounts") or []:
        admin.delete_service_account(account["accessKey"])
        say(f"user {name} had the service account {account['accessKey']}: removed", changed=True)
    for group in json.loads(admin.user_info(name)).get("memberOf") or []:
        admin.group_remove(group, [name])  # type: ignore[arg-type] # the server wants a list
        say(f"user {name} was in the group {group}: taken out", changed=True)


def _find_policy(admin: MinioAdmin, name: str) -> list[str]:
    try:
        found = json.loads(admin.policy_info(name))
    except MinioAdminException:
        return []  # there is none
    return _comparable_policy(found.get("Policy", found))


def _comparable_policy(policy: Mapping[str, Any]) -> list[str]:
    """Return its statements in one form: MinIO orders lists anew, and makes one of a single value."""
    return sorted(json.dumps(_plain(statement), sort_keys=True) for statement in policy.get("Statement") or [])


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case [single]:
            return single
        case list():
            return sorted(value)
        case _:
            return value


def _is_secret_of(client: Minio) -> bool:
    """Tell whether the user exists and has this secret, whatever else it may do."""
    try:
        next(client.list_objects(ORIGINALS), None)  # no HEAD: its answer would not tell the one 403 from the other
    except S3Error as error:
        return error.code not in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "XMinioAccessKeyDisabled"}
    return True


def make_bucket(client: Minio, bucket: str, say: Say) -> None:
    """Make the bucket unless it is there. Raises ProvisionError when versioning was ever switched on."""
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
            f"versioning of bucket {bucket} is {status}: a deleted image would stay readable. It cannot be "
            "switched off again: move the objects to a new bucket of that name"
        )
    say(f"bucket {bucket}", changed=is_new)


def subscribe(client: Minio, bucket: str, say: Say) -> None:
    """Have both targets told of the bucket's events; left alone when it is so, since setting it opens a gap."""
    wanted = [QueueConfig(queue=target, events=list(EVENTS), config_id=target.split(":")[-2]) for target in TARGETS]
    found = _comparable(client.get_bucket_notification(bucket).queue_config_list)
    if is_other := found != _comparable(wanted):
        client.set_bucket_notification(bucket, NotificationConfig(queue_config_list=wanted))
    say(f"bucket {bucket} tells both targets of {len(EVENTS)} kinds of events", changed=is_other)


def _comparable(queues: Iterable[QueueConfig]) -> set[tuple[str | None, frozenset[str]]]:
    return {(queue.queue, frozenset(queue.events)) for queue in queues}


def _is_passing(error: BaseException) -> bool:
    """Tell whether MinIO may still be starting: not there yet, or answering 503."""
    return isinstance(error, urllib3.exceptions.HTTPError) or (
        isinstance(error, MinioAdminException) and "Status: 503" in str(error)
    )


if __name__ == "__main__":
    sys.exit(main())
