"""What each run of reconciliation has found, in Postgres for operators: scheduled passes and requested ones."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from pydantic_core import to_json

from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.reconciliation.drift import DriftKind

KEPT = timedelta(days=30)  # how long a run stays
MAX_IMAGES = 1000  # of one run; its counts have all


class RunRepository:
    """Belongs to one thread, as its repository does. Every method raises what the repository raises."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def open_pass(self) -> UUID:
        """Return the present scheduled pass, or begin one; old ones are purged then."""
        with self._repository.connected() as connection:
            found = execute(connection, "open_pass", age=KEPT).fetchone()
        if found is None:
            raise LookupError("the table reconciliation has lost its row: insert it as sql/schema.sql does")
        pass_id: UUID = found["id"]
        return pass_id

    def save_pass(self, pass_id: UUID, objects: int, found: Mapping[DriftKind, int], *, ended: bool) -> None:
        """Add what a batch has compared and found."""
        numbers = to_json({kind.value: number for kind, number in found.items()}).decode()
        with self._repository.connected() as connection:
            execute(connection, "save_pass", id=pass_id, objects=objects, found=numbers, ended=ended)

    def add_image(self, run_id: UUID, kind: DriftKind, image_id: UUID, *, repaired: bool) -> None:
        """Add an image to a run, unless it has MAX_IMAGES already."""
        with self._repository.connected() as connection:
            execute(
                connection,
                "add_reconciled",
                run_id=run_id,
                image_id=image_id,
                drift=kind.value,
                repaired=repaired,
                limit=MAX_IMAGES,
            )
