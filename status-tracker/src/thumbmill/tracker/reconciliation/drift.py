"""What a difference between the buckets and the rows means. Pure: lists in, drift out.

Neither of the two compared lists is of one moment, so a comparison yields only suspected drift. Each case is
checked again on its own against the present row and object: ``is_confirmed`` decides.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from thumbmill.core.contracts.identity import ObjectVersion, image_id_of, image_id_of_variant
from thumbmill.core.contracts.status import Status
from thumbmill.core.object_store.listing import ObjectSummary
from thumbmill.tracker.image_record import ImageRecord


class DriftKind(StrEnum):
    """What can be wrong, as the log, the metric and the timeline name it."""

    MISSED = "missed"  # an object without a row that knows it: its event is republished
    VANISHED = "vanished"  # a row whose object is missing: it is marked as deleted
    STUCK = "stuck"  # a row that makes no progress: its event is republished
    MISSING_VARIANTS = "missing_variants"  # a DONE row some of whose variants are missing: they are generated again
    ORPHANS = "orphans"  # variants that no row names: they are deleted


@dataclass(frozen=True, slots=True)
class ExpectedObject:
    """An object that must exist according to a row."""

    id: UUID
    key: str
    object_version: ObjectVersion
    variants: tuple[str, ...] = ()  # keys; empty where only originals are compared


@dataclass(frozen=True, slots=True)
class Drift:
    """One suspected difference about one image."""

    kind: DriftKind
    image_id: UUID
    key: str  # the original's; empty where only a variant is known
    object_version: ObjectVersion | None = None  # of the original, by the listing or the row
    variants: tuple[ObjectSummary, ...] = ()  # the orphans
    missing: tuple[str, ...] = ()  # keys of variants


IN_PROGRESS = {Status.PENDING, Status.PROCESSING}
HAS_OBJECT = IN_PROGRESS | {Status.DONE, Status.FAILED}


def compare_originals(objects: Iterable[ObjectSummary], rows: Iterable[ExpectedObject]) -> list[Drift]:
    """Compare the same range of keys in the bucket and in the database."""
    known = {row.key: row for row in rows}
    drifts = []
    for summary in objects:
        row = known.pop(summary.key, None)
        if row is None or row.object_version != summary.object_version:
            drifts.append(Drift(DriftKind.MISSED, image_id_of(summary.key), summary.key, summary.object_version))
    return [*drifts, *(Drift(DriftKind.VANISHED, row.id, row.key, row.object_version) for row in known.values())]


def compare_variants(
    objects: Iterable[ObjectSummary], rows: Iterable[ExpectedObject], *, older_than: int
) -> list[Drift]:
    """Compare the same range of images in the bucket of variants and among the DONE rows.

    ``older_than``: seconds since 1970 by the store's clock; a younger variant may belong to an event that is on its
    way.
    """
    expected = {row.id: (row, dict.fromkeys(row.variants)) for row in rows}
    orphans: dict[UUID, list[ObjectSummary]] = defaultdict(list)
    for summary in objects:
        image_id = image_id_of_variant(summary.key)
        if image_id is None:
            continue  # not written by a thumbnailer
        _, keys = expected.get(image_id, (None, {}))
        if summary.key in keys:
            del keys[summary.key]
        elif summary.object_version.modified < older_than:
            orphans[image_id].append(summary)
    drifts = [
        Drift(DriftKind.MISSING_VARIANTS, row.id, row.key, row.object_version, missing=tuple(keys))
        for row, keys in expected.values()
        if keys
    ]
    return drifts + [
        Drift(DriftKind.ORPHANS, image_id, "", variants=tuple(summaries)) for image_id, summaries in orphans.items()
    ]


def is_plausible(drift: Drift, row: ImageRecord | None) -> bool:
    """Return whether the row permits the suspicion, before the bucket is asked."""
    match drift.kind:
        case DriftKind.MISSED:
            return row is None or row.status not in HAS_OBJECT or row.object_version != drift.object_version
        case DriftKind.VANISHED:
            return row is not None and row.status in HAS_OBJECT and row.object_version == drift.object_version
        case DriftKind.MISSING_VARIANTS:
            return row is not None and row.status is Status.DONE and row.object_version == drift.object_version
        case DriftKind.ORPHANS:
            # While an image is being processed, it is unknown which variants are its own.
            return row is None or row.status not in IN_PROGRESS
        case DriftKind.STUCK:
            return True


def is_confirmed(drift: Drift, row: ImageRecord | None, original: ObjectVersion | None) -> bool:
    """Decide about suspected drift by the present row and original."""
    if not is_plausible(drift, row):
        return False
    match drift.kind:
        case DriftKind.MISSED:
            return original is not None and original == drift.object_version  # a newer one has its own events
        case DriftKind.VANISHED:
            return original is None
        case DriftKind.MISSING_VARIANTS:
            return original == drift.object_version
        case DriftKind.ORPHANS:
            expected = row.object_version if row is not None and row.status in HAS_OBJECT else None
            return original == expected  # else the drift of the original comes first
        case DriftKind.STUCK:
            return True


def unnamed_variants(drift: Drift, row: ImageRecord | None) -> list[ObjectSummary]:
    """Return those of the drift's variants that the row does not name."""
    named = {variant.key for variant in row.variants} if row else set()
    return [summary for summary in drift.variants if summary.key not in named]
