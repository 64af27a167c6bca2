"""Where a script is played: one client that does a step at a time, and a second thumbnailer that comes to harm."""

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

from chaos.ablations import GUARDS, cut_by
from chaos.environment import Scene
from devstack.errors import LaunchError
from devstack.ports import free_ports
from devstack.probes import answers_http
from devstack.stack import Stack
from tests.support.fault_injection.launch import inject
from thumbmill.cli.drill import fingerprint_image
from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import Content, History, Operation, TrackedKey
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET

VICTIM = "victim"  # the second thumbnailer, as a process
_PATIENCE = 60.0  # seconds for a step to have its effect

Row = dict[str, Any]  # an image, as the API shows it
T = TypeVar("T")


def take_out(stack: Stack, without: list[str]) -> None:
    """Have the stack start its services without these guards, and its decoders fail when an image asks for it."""
    for name, options in (("thumbnailer", ["--faulty-decoder"]), ("status-tracker", [])):
        if arguments := [*cut_by(without, name), *options]:
            stack.table[name] = replace(stack.table[name], command=wrapped(stack, name, *arguments))


def restore_guards(stack: Stack, without: list[str]) -> None:
    """Take back the orders to servers that are these guards: MinIO tells their targets nothing any more."""
    targets = [f":{GUARDS[name].target}:" for name in without if GUARDS[name].target]
    if not targets:
        return
    secrets, address = stack.installation.secrets, f"127.0.0.1:{stack.installation.ports['MINIO_PORT']}"
    minio = Minio(
        address, secrets["MINIO_ROOT_USER"], secrets["MINIO_ROOT_PASSWORD"], secure=False, region="us-east-1"
    )
    rules = minio.get_bucket_notification(ORIGINALS_BUCKET).queue_config_list
    kept = [rule for rule in rules if not any(target in rule.queue for target in targets)]
    minio.set_bucket_notification(ORIGINALS_BUCKET, NotificationConfig(queue_config_list=kept))


def wrapped(stack: Stack, name: str, *arguments: str) -> list[str]:
    """Return the command with which ``chaos.ablated_service`` runs a service."""
    return inject(stack.table[name].command, *arguments, module="chaos.ablated_service")


@dataclass
class Stage:
    """The system, and what its one client has done to it; every step is answered, or the script ends."""

    scene: Scene
    access: Access  # with a store
    history: History
    without: list[str]
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._http = self.access.http()

    def close(self) -> None:
        self._http.close()

    # --- the client ----------------------------------------------------------------------------------------

    def put(self) -> TrackedKey:
        """Put a photo under a new key."""
        tracked = self.history.add(TrackedKey("s3"))
        tracked.key = f"script/{next(self._numbers)}"
        self.overwrite(tracked)
        return tracked

    def overwrite(self, tracked: TrackedKey) -> None:
        """Put another photo in its place."""
        number = next(self._numbers)
        data = fingerprint_image.render(number)
        self.access.store.put(ORIGINALS_BUCKET, tracked.key, data, "image/jpeg")
        tracked.operations.append(Operation(Content(number, hashlib.sha256(data).hexdigest()), "acknowledged"))

    def delete(self, tracked: TrackedKey) -> None:
        self.access.store.delete(ORIGINALS_BUCKET, tracked.key)
        tracked.operations.append(Operation(None, "acknowledged"))

    def wait_done(self, tracked: TrackedKey) -> None:
        """Wait until the photo that was put last is DONE."""
        content = tracked.operations[-1].content

        def is_done() -> bool:
            row = self._row(tracked)
            return bool(row and content) and (row["status"], row["sha256"]) == ("DONE", content.sha256)

        self.wait_for(is_done, f"{tracked.key} to be DONE")

    def wait_told(self, tracked: TrackedKey, kind: str, count: int = 1) -> None:
        """Wait until so many facts of a kind (``ObjectRemoved``, ``image.removed``) are in the timeline."""

        def is_told() -> bool:
            row = self._row(tracked)
            facts = self._http.get(f"/api/v1/images/{row['id']}/events").json()["items"] if row else []
            return sum(kind in fact["type"] for fact in facts) >= count

        self.wait_for(is_told, f"{count} {kind} of {tracked.key}")

    def wait_heard(self) -> None:
        """Have one more image made: its news are behind all others, so these have been heard when it is DONE."""
        self.wait_done(self.put())

    def wait_for(self, condition: Callable[[], T], what: str, seconds: float = _PATIENCE) -> T:
        """Give the condition's first true answer. Raises LaunchError if there is none."""
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            if time.monotonic() > deadline:
                raise LaunchError(f"the script waited {seconds:.0f} s in vain for {what}")
            self.scene.stop.wait(0.1)
        return answer

    def _is_quiet(self) -> bool:
        return not any(self._list(status=status) for status in ("PENDING", "PROCESSING"))

    def _row(self, tracked: TrackedKey) -> Row:
        return next(iter(self._list(key=tracked.key)), {})

    def _list(self, **conditions: str) -> list[Row]:
        items: list[Row] = self._http.get("/api/v1/images", params=conditions).json().get("items", [])
        return items

    # --- the thumbnailer that comes to harm ----------------------------------------------------------------

    @contextmanager
    def victim(self, *, freeze_at: str = "", crash_at: str = "") -> Iterator[None]:
        """Have a thumbnailer, alone at first, that takes one image and stands still or dies at a crash point."""
        self.wait_for(self._is_quiet, "all images to be done: the one that comes to harm is to be the next")
        stack = self.scene.stack
        stack.stop("thumbnailer")
        row, port = stack.table["thumbnailer"], free_ports()["THUMBNAILER_HEALTH_PORT"]
        points = {"--freeze-at": freeze_at, "--crash-at": crash_at}
        options = [
            "--faulty-decoder",
            *(part for option, point in points.items() if point for part in (option, point)),
        ]
        stack.table[VICTIM] = replace(
            row,
            name=VICTIM,
            is_ready=lambda: answers_http(port, "/readyz"),
            command=wrapped(stack, "thumbnailer", *cut_by(self.without, "thumbnailer"), *options),
            environment={
                **row.environment,
                "HEALTH_PORT": str(port),
                "THUMBNAILER_PREFETCH": "1",  # or messages would wait behind the one that it stands still with
            },
        )
        stack.start(VICTIM)
        try:
            yield
        finally:
            if stack.is_running(VICTIM):
                stack.kill(VICTIM)

    def wait_frozen(self) -> None:
        """Wait until the victim stands still."""
        stat = Path(f"/proc/{self.scene.stack.pid(VICTIM)}/stat")
        self.wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the victim to stand still")

    def thaw(self) -> None:
        self.scene.stack.signal(VICTIM, signal.SIGCONT)

    def wait_crashed(self) -> None:
        self.scene.stack.wait_exit(VICTIM, _PATIENCE)
