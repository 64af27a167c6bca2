"""Writes RabbitMQ's users and their permissions to a definitions file, from the secrets in the environment.

RabbitMQ loads it at every start, together with definitions.json, which has no secrets: a changed password takes
effect with a restart. Needs only Python.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

# Every user's password is in this variable, or in the file that X_FILE names.
SECRETS = {
    "admin": "RABBITMQ_ADMIN_PASSWORD",
    "minio": "MINIO_RABBITMQ_PASSWORD",
    "gateway": "GATEWAY_RABBITMQ_PASSWORD",
    "thumbnailer": "THUMBNAILER_RABBITMQ_PASSWORD",
    "status-tracker": "STATUS_TRACKER_RABBITMQ_PASSWORD",
    "operator": "OPERATOR_RABBITMQ_PASSWORD",
}
VHOST = "/"
# The names of thumbmill.core.messaging.topology, which this program cannot import; tests hold them equal.
_STORAGE, _LIFECYCLE, _RETRY = "storage.events", "image.lifecycle", "message.retry"
_TRACKER_QUEUE, _UNROUTED = "status_tracker", "unrouted"
_ALL, _NONE = ".*", "^$"
# The routing keys that each user may publish on image.lifecycle, equal to thumbmill.core.contracts.senders.
_LIFECYCLE_KEYS = {
    "gateway": r"^(upload\.(requested|expired)|(reconciliation|redrive)\.requested|"
    r"image\.(retry_requested|variants_missing))$",
    "thumbnailer": r"^(image\.(processing|retrying|done|failed|removed)|worker\.alive)$",
    "status-tracker": r"^(upload\.expired|tracker\.watermark)$",
    "operator": r"^image\.(redriven|dropped)$",
}


def main() -> int:
    """Write the file. Return 1 with a message if a variable is missing."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=f"Environment: {', '.join(SECRETS.values())}; RABBITMQ_QUEUE, the image queue's name (image_queue). "
        "Any secret X may be given as a file by X_FILE.",
    )
    parser.add_argument("path", type=Path, help="the definitions file to write")
    arguments = parser.parse_args()
    try:
        passwords = {user: _read_secret(variable) for user, variable in SECRETS.items()}
    except (KeyError, OSError) as error:
        print(f"users: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    queue = os.environ.get("RABBITMQ_QUEUE") or "image_queue"
    text = json.dumps(define_users(passwords, queue), indent=2)
    arguments.path.write_text(f"{text}\n", encoding="utf-8")
    return 0


def define_users(passwords: dict[str, str], image_queue: str) -> dict[str, Any]:
    """Return the definitions: one user per service, each with the permissions that it needs."""
    tags = {"admin": ["administrator"]}
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": user,
                "password_hash": hash_password(password, os.urandom(4)),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": tags.get(user, []),
            }
            for user, password in passwords.items()
        ],
        "permissions": [
            {"user": user, "vhost": VHOST, "configure": configure, "write": write, "read": read}
            for user, (configure, write, read) in permissions(image_queue).items()
        ],
        "topic_permissions": [
            {"user": user, "vhost": VHOST, "exchange": exchange, "write": write, "read": read}
            for (user, exchange), (write, read) in topic_permissions(image_queue).items()
        ],
    }


def permissions(image_queue: str) -> dict[str, tuple[str, str, str]]:
    """Return each user's patterns (configure, write, read).

    A consumer declares its exchanges and all queues of its group, which restores a deleted one. To bind a queue, it
    needs to write to the queue and to read from the exchange.
    """
    images, tracker = _queue_group(image_queue), _queue_group(_TRACKER_QUEUE)
    exchanges = [re.escape(name) for name in (_STORAGE, _LIFECYCLE, _RETRY)]
    storage, lifecycle, retry = exchanges
    return {
        "admin": (".*", ".*", ".*"),
        "minio": (_any(storage), _any(storage), _any()),
        "gateway": (_any(), _any(lifecycle), _any()),
        "thumbnailer": (
            _any(*exchanges, images),
            _any(lifecycle, retry, images),
            _any(storage, retry, images),
        ),
        # The tracker republishes to storage.events, sends watermarks to itself through image.lifecycle, and reads
        # the lengths of the queues.
        "status-tracker": (
            _any(*exchanges, tracker),
            _any(*exchanges, tracker),
            _any(*exchanges, tracker, rf"{re.escape(image_queue)}(\.dead)?", _UNROUTED),
        ),
        # Operators, with the program `thumbmill`: they read dead letters, redrive them, and publish that.
        "operator": (
            _any(),
            _any(lifecycle, retry),
            _any(*(rf"{re.escape(queue)}\.dead" for queue in (image_queue, _TRACKER_QUEUE))),
        ),
    }


def topic_permissions(image_queue: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Return patterns of routing keys (write, read) by user and topic exchange, except for the administrator.

    A user without an entry for an exchange would be allowed every routing key there. Each consumer moves messages
    within its own group of queues; an operator redrives them to the work queues.
    """
    images, tracker = _any(_queue_group(image_queue)), _any(_queue_group(_TRACKER_QUEUE))
    tracker_reads = _any(_queue_group(_TRACKER_QUEUE), rf"{re.escape(image_queue)}\.dead")
    work_queues = _any(re.escape(image_queue), _TRACKER_QUEUE)
    found = {
        ("minio", _STORAGE): (r"^(immediate|durable)$", _NONE),
        ("status-tracker", _STORAGE): (r"^republished$", r"^(immediate|durable)$"),
        ("thumbnailer", _STORAGE): (_NONE, r"^(immediate|republished)$"),
        ("thumbnailer", _RETRY): (images, images),
        ("status-tracker", _RETRY): (tracker, tracker_reads),
        ("operator", _RETRY): (work_queues, _NONE),
        **{(user, _LIFECYCLE): (write, _NONE) for user, write in _LIFECYCLE_KEYS.items()},
        ("status-tracker", _LIFECYCLE): (_LIFECYCLE_KEYS["status-tracker"], _ALL),
    }
    users = [user for user in SECRETS if user != "admin"]
    return {
        (user, exchange): found.get((user, exchange), (_NONE, _NONE))
        for user in users
        for exchange in (_STORAGE, _LIFECYCLE, _RETRY)
    }


def hash_password(password: str, salt: bytes) -> str:
    """Return RabbitMQ's password hash: base64 of the 4 bytes of salt and SHA-256 of salt and password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _queue_group(queue: str) -> str:
    return rf"{re.escape(queue)}(\.delay\.(5s|30s|5m)|\.dead)?"


def _any(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"


def _read_secret(name: str) -> str:
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    if value := os.environ.get(name):
        return value
    raise KeyError(f"set {name} (or {name}_FILE)")


if __name__ == "__main__":
    sys.exit(main())
