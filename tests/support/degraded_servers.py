"""Servers degraded for a while: a missing permission, a broker with a low delivery limit."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from devstack import rabbitmq
from devstack.minio import SHARED
from devstack.rabbitmq import ALARMS
from devstack.stack import Stack
from tests.support.system import System

LOW_LIMIT = 3


@contextmanager
def denied(system: System, action: str) -> Iterator[None]:
    """Revoke a permission of the thumbnailer's user for a while."""
    keys = StaticProvider(system.secrets["MINIO_ROOT_USER"], system.secrets["MINIO_ROOT_PASSWORD"])
    admin = MinioAdmin(endpoint=f"127.0.0.1:{system.ports['MINIO_PORT']}", credentials=keys, secure=False)
    policy = json.loads((SHARED / "policies" / "thumbnailer.json").read_text())
    denial = {"Effect": "Deny", "Action": [action], "Resource": ["arn:aws:s3:::*"]}
    admin.policy_add("thumbnailer", policy={**policy, "Statement": [*policy["Statement"], denial]})
    try:
        yield
    finally:
        admin.policy_add("thumbnailer", policy=policy)


@contextmanager
def changed_secret(system: System, user: str) -> Iterator[None]:
    """Change the secret of one of MinIO's users without changing its service's settings."""
    keys = StaticProvider(system.secrets["MINIO_ROOT_USER"], system.secrets["MINIO_ROOT_PASSWORD"])
    admin = MinioAdmin(endpoint=f"127.0.0.1:{system.ports['MINIO_PORT']}", credentials=keys, secure=False)
    admin.user_add(user, "another-secret")
    try:
        yield
    finally:
        admin.user_add(user, system.secrets[f"{user.upper().replace('-', '_')}_MINIO_SECRET_KEY"])


@contextmanager
def low_delivery_limit(system: System) -> Iterator[None]:
    """Have the broker dead-letter a message of the image queue after a few deliveries instead of a thousand."""
    api = f"http://127.0.0.1:{system.ports['RABBITMQ_MANAGEMENT_PORT']}/api/policies/%2F"
    with httpx.Client(auth=("admin", system.secrets["RABBITMQ_ADMIN_PASSWORD"])) as client:
        policy = next(p for p in client.get(api).json() if p["pattern"] == "^image_queue$")
        lower = policy["definition"] | {"delivery-limit": LOW_LIMIT}
        put = {"pattern": policy["pattern"], "apply-to": "queues", "priority": 9, "definition": lower}
        client.put(f"{api}/low-limit", json=put).raise_for_status()
        try:
            yield
        finally:
            client.delete(f"{api}/low-limit").raise_for_status()


@contextmanager
def alarm(system: System, kind: str) -> Iterator[None]:
    """Have the broker block all publishers, as it does when disk or memory run short."""
    order, low, usual = ALARMS[kind]
    rabbitmqctl(system.stack, order, low)
    try:
        yield
    finally:
        rabbitmqctl(system.stack, order, usual)


@contextmanager
def short_ack_timeout(stack: Stack) -> Iterator[None]:
    """Have the broker time out unacknowledged messages of new channels after a second, not after 30 minutes.

    It looks twice a second then, and not once a minute.
    """

    def set_to(milliseconds: int, tick: int) -> None:
        values = {"consumer_timeout": milliseconds, "channel_tick_interval": tick}
        orders = [f"application:set_env(rabbit, {name}, {value})" for name, value in values.items()]
        rabbitmqctl(stack, "eval", f"{', '.join(orders)}.")

    set_to(1000, 500)
    try:
        yield
    finally:
        set_to(1_800_000, 60_000)


def rabbitmqctl(stack: Stack, *command: str) -> None:
    """Run a rabbitmqctl command on the broker."""
    rabbitmq.rabbitmqctl(stack.table["rabbitmq"], *command)
