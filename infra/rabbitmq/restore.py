"""Restores what is missing in a running RabbitMQ: exchanges, queues, bindings, policies, permissions.

RabbitMQ loads its definitions only when it starts. Users and passwords are not restored, so this program needs no
secret but the administrator's. Needs only Python.
"""

import argparse
import base64
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from users import VHOST, permissions, topic_permissions

DEFINITIONS = Path(__file__).parent / "definitions.json"
# The fields that identify an object or must have the declared value. An exchange or a queue with other arguments
# cannot be changed: its consumer reports that.
IDENTITIES = {
    "exchanges": ("name",),
    "queues": ("name",),
    "bindings": ("source", "destination", "routing_key"),
    "policies": ("name", "pattern", "apply-to", "definition", "priority"),
    "permissions": ("user", "configure", "write", "read"),
    "topic_permissions": ("user", "exchange", "write", "read"),
}
_TIMEOUT_SECONDS = 10.0

Definitions = dict[str, list[dict[str, Any]]]


def main() -> int:
    """Restore once, or at an interval. Return 1 with a message if that fails."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Environment: RABBITMQ_MANAGEMENT_URL (http://127.0.0.1:15672), RABBITMQ_ADMIN_PASSWORD or "
        "RABBITMQ_ADMIN_PASSWORD_FILE; RABBITMQ_QUEUE, the image queue's name (image_queue).",
    )
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="keep running, and check at this interval")
    interval = parser.parse_args().watch
    url = os.environ.get("RABBITMQ_MANAGEMENT_URL") or "http://127.0.0.1:15672"
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    last_error = ""
    while True:
        try:
            for line in restore(url, read_password()):
                print(f"restored: {line}", flush=True)
            last_error = ""
        except (OSError, KeyError, ValueError) as error:  # urllib's errors are OSErrors
            message = f"restore: RABBITMQ_MANAGEMENT_URL={url}: {error}"
            if message != last_error:
                print(message, file=sys.stderr, flush=True)
            last_error = message
        if not interval or stop.wait(interval):
            return 1 if last_error and not interval else 0


def read_password() -> str:
    """Return the administrator's password. Raise ValueError, OSError."""
    if path := os.environ.get("RABBITMQ_ADMIN_PASSWORD_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    if password := os.environ.get("RABBITMQ_ADMIN_PASSWORD"):
        return password
    raise ValueError("set RABBITMQ_ADMIN_PASSWORD (or RABBITMQ_ADMIN_PASSWORD_FILE)")


def restore(url: str, password: str) -> list[str]:
    """Import the definitions if any of them is missing, and return what was. Raise OSError, ValueError."""
    wanted = wanted_definitions(os.environ.get("RABBITMQ_QUEUE") or "image_queue")
    missing = find_missing(wanted, request_definitions(url, password))
    if missing:
        request_definitions(url, password, {**wanted, "vhosts": [{"name": VHOST}]})
    return missing


def wanted_definitions(image_queue: str) -> Definitions:
    """Return the content of definitions.json, and the users' permissions."""
    found: Definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    return {kind: found[kind] for kind in ("exchanges", "queues", "bindings", "policies")} | {
        "permissions": [
            {"user": user, "vhost": VHOST, "configure": configure, "write": write, "read": read}
            for user, (configure, write, read) in permissions(image_queue).items()
        ],
        "topic_permissions": [
            {"user": user, "vhost": VHOST, "exchange": exchange, "write": write, "read": read}
            for (user, exchange), (write, read) in topic_permissions(image_queue).items()
        ],
    }


def find_missing(wanted: Definitions, present: Definitions) -> list[str]:
    """Return what is missing, or differs from its definition."""
    missing = []
    for kind, names in IDENTITIES.items():
        existing = {_identify(item, names) for item in present.get(kind, []) if item.get("vhost") == VHOST}
        missing += [
            f"{kind}: {' '.join(str(item[name]) for name in names if isinstance(item[name], str))}"
            for item in wanted[kind]
            if _identify(item, names) not in existing
        ]
    return missing


def _identify(item: dict[str, Any], names: tuple[str, ...]) -> str:
    return json.dumps([item.get(name) for name in names], sort_keys=True)


def request_definitions(url: str, password: str, upload: dict[str, Any] | None = None) -> Definitions:
    """Return all definitions, or import some. Raise OSError, ValueError."""
    credentials = base64.b64encode(f"admin:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/api/definitions",
        data=json.dumps(upload).encode() if upload else None,
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        found: Definitions = json.loads(response.read() or b"{}")
        return found


if __name__ == "__main__":
    sys.exit(main())
