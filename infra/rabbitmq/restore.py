"""Puts back what somebody took away from a running RabbitMQ: exchanges, queues, bindings, policies, permissions.

RabbitMQ itself loads its definitions at its start alone. Users and passwords are left to that: here are no secrets
but the administrator's. Needs Python alone.
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
# What a thing is known by, and what of it has to be as it was declared. An exchange or a queue that is declared
# otherwise cannot be changed: its consumer says so.
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
    """Restore once, or again and again; 1 with a message where that is not possible."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Environment: RABBITMQ_MANAGEMENT_URL (http://127.0.0.1:15672), RABBITMQ_ADMIN_PASSWORD or "
        "RABBITMQ_ADMIN_PASSWORD_FILE; RABBITMQ_QUEUE, the image queue's name (image_queue).",
    )
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="stay, and look again every so often")
    pause = parser.parse_args().watch
    url = os.environ.get("RABBITMQ_MANAGEMENT_URL") or "http://127.0.0.1:15672"
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    said = ""
    while True:
        try:
            for line in restore(url, read_password()):
                print(f"put right: {line}", flush=True)
            said = ""
        except (OSError, KeyError, ValueError) as error:  # urllib's faults are OSErrors
            fault = f"restore: RABBITMQ_MANAGEMENT_URL={url}: {error}"
            if fault != said:
                print(fault, file=sys.stderr, flush=True)
            said = fault
        if not pause or stop.wait(pause):
            return 1 if said and not pause else 0


def read_password() -> str:
    """Return the administrator's password. Raises KeyError, OSError."""
    if path := os.environ.get("RABBITMQ_ADMIN_PASSWORD_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ["RABBITMQ_ADMIN_PASSWORD"]


def restore(url: str, password: str) -> list[str]:
    """Import the definitions if anything of them is missing, and name what was. Raises OSError, ValueError."""
    wanted = wanted_definitions(os.environ.get("RABBITMQ_QUEUE") or "image_queue")
    missing = find_missing(wanted, ask(url, password))
    if missing:
        ask(url, password, {**wanted, "vhosts": [{"name": VHOST}]})
    return missing


def wanted_definitions(image_queue: str) -> Definitions:
    """Return what definitions.json says, and the users' permissions."""
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
    """Name what is wanted and not there, or not as it should be."""
    missing = []
    for kind, names in IDENTITIES.items():
        there = {_identify(thing, names) for thing in present.get(kind, []) if thing.get("vhost") == VHOST}
        missing += [
            f"{kind}: {' '.join(str(thing[name]) for name in names if isinstance(thing[name], str))}"
            for thing in wanted[kind]
            if _identify(thing, names) not in there
        ]
    return missing


def _identify(thing: dict[str, Any], names: tuple[str, ...]) -> str:
    return json.dumps([thing.get(name) for name in names], sort_keys=True)


def ask(url: str, password: str, upload: dict[str, Any] | None = None) -> Definitions:
    """Ask for all definitions, or import some. Raises OSError, ValueError."""
    login = base64.b64encode(f"admin:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/api/definitions",
        data=json.dumps(upload).encode() if upload else None,
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        found: Definitions = json.loads(answer.read() or b"{}")
        return found


if __name__ == "__main__":
    sys.exit(main())
