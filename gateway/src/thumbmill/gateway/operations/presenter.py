"""Orders and their images as the API shows them."""

from collections.abc import Sequence
from dataclasses import asdict

from thumbmill.gateway.operations.order_models import (
    OrderState,
    ReconciledImage,
    Reconciliation,
    ReconciliationDetail,
    Redrive,
    RedriveDetail,
    RedrivenImage,
    RedriveProgress,
    RedriveScope,
)
from thumbmill.gateway.operations.repository import (
    ReconciledImageRow,
    ReconciliationRow,
    RedrivenImageRow,
    RedriveRow,
)

_OPEN = {OrderState.WAITING, OrderState.RUNNING}


def to_reconciliation(row: ReconciliationRow, expected_objects: int | None) -> Reconciliation:
    """Return a run; ``expected_objects`` shows how far it is while it runs."""
    values = asdict(row) | {"found": row.found or {}}
    return Reconciliation.model_validate(
        values | {"expected_objects": expected_objects if row.state in _OPEN else None}
    )


def to_reconciliation_detail(
    row: ReconciliationRow, expected_objects: int | None, images: Sequence[ReconciledImageRow]
) -> ReconciliationDetail:
    """Return a run with its images."""
    items = [ReconciledImage.model_validate(asdict(image)) for image in images]
    return ReconciliationDetail(**to_reconciliation(row, expected_objects).model_dump(), images=items)


def to_redrive(row: RedriveRow) -> Redrive:
    """Return a redrive. Its scope has what the request named, by whatever way it came."""
    names = RedriveScope.model_fields
    return Redrive.model_validate(
        {
            **asdict(row),
            "scope": {name: value for name, value in row.parameters.items() if name in names and value is not None},
            "progress": {name: getattr(row, name) for name in RedriveProgress.model_fields},
        }
    )


def to_redrive_detail(row: RedriveRow, images: Sequence[RedrivenImageRow]) -> RedriveDetail:
    """Return a redrive with its images."""
    items = [RedrivenImage.model_validate(asdict(image)) for image in images]
    return RedriveDetail(**to_redrive(row).model_dump(), images=items)
