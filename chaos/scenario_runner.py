"""Runs scenarios: one client that takes a step at a time, and a second thumbnailer that freezes or crashes."""

import hashlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from minio import Minio
from minio.notificationconfig import NotificationConfig

from chaos.ablations import GUARDS, guards_of
from chaos.environment import Environment
from devstack.errors import LaunchError
from devstack.ports import free_ports
from devstack.probes import answers_http
from devstack.stack import Stack
from tests.support.fault_injection.launch import inject
from thumbmill.cli.drill import fingerprint_image
from thumbmill.cli.drill.history import Content, Operation, TrackedKey
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET

FAULTY_THUMBNAILER = "faulty-thumbnailer"  # the name of the second process
_STEP_SECONDS = 60.0  # for a step to take effect

Row = dict[str, Any]  # an image in an API response
T = TypeVar("T")


def ablate_services(stack: Stack, without: list[str]) -> None:
    """Make the stack start its services without these guards, and with decoders that fail on request."""
    for name, options in (("thumbnailer", ["--faulty-decoder"]), ("status-tracker", [])):
        if arguments := [*guards_of(without, name), *options]:
            stack.table[name] = replace(stack.table[name], command=ablated_command(stack, name, *arguments))


def remove_notification_rules(stack: Stack, without: list[str]) -> None:
    """Remove the bucket's notification rules for the targets of these guards."""
    targets = [f":{GUARDS[name].target}:" for name in without if GUARDS[name].target]
    if not targets:
        return
    secrets, address = stack.installation.secrets, f"127.0.0.1:{stack.installation.ports['MINIO_PORT']}"
    minio = Minio(
        address, secrets["MINIO_ROOT_USER"], secrets["MINIO_ROOT_PASSWORD"], secure=False, region="us-east-1"
    )
    rules = minio.get_bucket_notification(ORIGINALS_BUCKET).queue_config_list
    kept = [rule for rule in rules if not any(target in (rule.queue or "") for target in targets)]
    minio.set_bucket_notification(ORIGINALS_BUCKET, NotificationConfig(queue_config_list=kept))


def ablated_command(stack: Stack, name: str, *arguments: str) -> list[str]:
    """Return the command with which ``chaos.ablated_service`` runs a service."""
    return inject(stack.table[name].command, *arguments, module="chaos.ablated_service")


@dataclass
class ScenarioRunner:
    """The system and its only client. Every step has to succeed, or the scenario ends."""

    environment: Environment
    without: list[str]
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._http = self.environment.access.http()
        self._store = self.environment.open_store()

    def close(self) -> None:
        self._http.close()

    # --- the client ----------------------------------------------------------------------------------------

    def put(self) -> TrackedKey:
        """Put an image under a new key."""
        tracked = TrackedKey("s3", key=f"scenario/{next(self._numbers)}")
        self.environment.history.add(tracked)
        self.overwrite(tracked)
        return tracked

    def overwrite(self, tracked: TrackedKey) -> None:
        """Put another image under the same key."""
        number = next(self._numbers)
        data = fingerprint_image.render(number)
        self._store.put(ORIGINALS_BUCKET, tracked.key or "", data, "image/jpeg")
        tracked.operations.append(Operation(Content(number, hashlib.sha256(data).hexdigest()), "acknowledged"))

    def delete(self, tracked: TrackedKey) -> None:
        self._store.delete(ORIGINALS_BUCKET, tracked.key or "")
        tracked.operations.append(Operation(None, "acknowledged"))

    def wait_done(self, tracked: TrackedKey) -> None:
        """Wait until the image that was put last is DONE."""
        content = tracked.operations[-1].content

        def is_done() -> bool:
            row = self._row(tracked)
            return bool(row and content and (row["status"], row["sha256"]) == ("DONE", content.sha256))

        self.wait_for(is_done, f"{tracked.key} to be DONE")

    def wait_for_events(self, tracked: TrackedKey, kind: str, count: int = 1) -> None:
        """Wait until the timeline contains this many events of a kind, for instance ``image.removed``."""

        def has_events() -> bool:
            row = self._row(tracked)
            events = self._http.get(f"/api/v1/images/{row['id']}/events").json()["items"] if row else []
            return sum(kind in event["type"] for event in events) >= count

        self.wait_for(has_events, f"{count} {kind} of {tracked.key}")

    def wait_for_queues(self) -> None:
        """Wait until all earlier messages are handled: process one more image, whose messages come last."""
        self.wait_done(self.put())

    def wait_for(self, condition: Callable[[], T], description: str, seconds: float = _STEP_SECONDS) -> T:
        """Return the condition's first true value. Raise LaunchError after the given time."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise LaunchError(f"the scenario waited {seconds:.0f} s in vain for {description}")
            self.environment.stop.wait(0.1)
        return value

    def _is_idle(self) -> bool:
        return not any(self._list(status=status) for status in ("PENDING", "PROCESSING"))

    def _row(self, tracked: TrackedKey) -> Row:
        return next(iter(self._list(key=tracked.key or "")), {})

    def _list(self, **conditions: str) -> list[Row]:
        items: list[Row] = self._http.get("/api/v1/images", params=conditions).json().get("items", [])
        return items

    # --- the faulty thumbnailer ----------------------------------------------------------------------------

    @contextmanager
    def faulty_thumbnailer(self, *, freeze_at: str = "", crash_at: str = "") -> Iterator[None]:
        """Run only a thumbnailer that takes one image and freezes or crashes at a crash point."""
        self.wait_for(
            self._is_idle, "all earlier images to be done, so that the faulty thumbnailer gets the next one"
        )
        stack = self.environment.stack
        stack.stop("thumbnailer")
        row, port = stack.table["thumbnailer"], free_ports()["THUMBNAILER_HEALTH_PORT"]
        points = {"--freeze-at": freeze_at, "--crash-at": crash_at}
        options = [
            "--faulty-decoder",
            *(part for option, point in points.items() if point for part in (option, point)),
        ]
        stack.table[FAULTY_THUMBNAILER] = replace(
            row,
            name=FAULTY_THUMBNAILER,
            is_ready=lambda: answers_http(port, "/readyz"),
            command=ablated_command(stack, "thumbnailer", *guards_of(self.without, "thumbnailer"), *options),
            environment={
                **row.environment,
                "HEALTH_PORT": str(port),
                "THUMBNAILER_PREFETCH": "1",  # or other messages would wait behind the frozen one
            },
        )
        stack.start(FAULTY_THUMBNAILER)
        try:
            yield
        finally:
            if stack.is_running(FAULTY_THUMBNAILER):
                stack.kill(FAULTY_THUMBNAILER)

    def wait_frozen(self) -> None:
        """Wait until the faulty thumbnailer has frozen."""
        stat = Path(f"/proc/{self.environment.stack.pid(FAULTY_THUMBNAILER)}/stat")

        def is_stopped() -> bool:
            return stat.read_text().rpartition(")")[2].split()[0] == "T"

        self.wait_for(is_stopped, "the faulty thumbnailer to freeze")

    def resume(self) -> None:
        """Let the frozen thumbnailer continue."""
        self.environment.stack.signal(FAULTY_THUMBNAILER, signal.SIGCONT)

    def wait_crashed(self) -> None:
        """Wait until the faulty thumbnailer has crashed."""
        self.environment.stack.wait_exit(FAULTY_THUMBNAILER, _STEP_SECONDS)
