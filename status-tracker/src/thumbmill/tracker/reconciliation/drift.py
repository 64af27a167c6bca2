"""What a difference between the buckets and the rows means. Pure: lists in, findings out.

A comparison of two lists, neither of which is of one moment, gives suspicions. Each is looked at again on its own,
with what is true by then, and ``is_confirmed`` has the last word.
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
    """What can be wrong, as the log, the metric and the timeline have it."""

    MISSED = "missed"  # an object that no row knows: it is announced again
    VANISHED = "vanished"  # a row whose object is gone: it is marked
    STUCK = "stuck"  # a row that nobody works on: its image is announced again
    MISSING_VARIANTS = "variants_gone"  # a DONE row some of whose variants are gone: they are made again
    ORPHANS = "orphans"  # variants that no row names: they are removed


@dataclass(frozen=True, slots=True)
class ExpectedObject:
    """A row that says there is an object."""

    id: UUID
    key: str
    object_version: ObjectVersion
    variants: tuple[str, ...] = ()  # keys; left out where only originals are compared


@dataclass(frozen=True, slots=True)
class Drift:
    """One suspicion about one image."""

    what: DriftKind
    image_id: UUID
    key: str  # the original's; empty where only a variant is known
    object_version: ObjectVersion | None = None  # what the listing or the row says of the original
    variants: tuple[ObjectSummary, ...] = ()  # the orphans
    gone: tuple[str, ...] = ()  # keys of variants


IN_WORK = {Status.PENDING, Status.PROCESSING}
LIVE = IN_WORK | {Status.DONE, Status.FAILED}


def compare_originals(objects: Iterable[ObjectSummary], rows: Iterable[ExpectedObject]) -> list[Drift]:
    """Compare the same range of keys in bucket and database."""
    known = {row.key: row for row in rows}
    drifts = []
    for thing in objects:
        row = known.pop(thing.key, None)
        if row is None or row.object_version != thing.object_version:
            drifts.append(Drift(DriftKind.MISSED, image_id_of(thing.key), thing.key, thing.object_version))
    return [*drifts, *(Drift(DriftKind.VANISHED, row.id, row.key, row.object_version) for row in known.values())]


def compare_variants(
    objects: Iterable[ObjectSummary], rows: Iterable[ExpectedObject], *, older_than: int
) -> list[Drift]:
    """Compare the same range of images in the bucket of variants and among the DONE rows.

    ``older_than``: seconds since 1970 by the store's clock; what is younger may belong to news under way.
    """
    missing = {row.id: (row, dict.fromkeys(row.variants)) for row in rows}
    orphans: dict[UUID, list[ObjectSummary]] = defaultdict(list)
    for thing in objects:
        image_id = image_id_of_variant(thing.key)
        if image_id is None:
            continue  # no work of ours
        _, expected = missing.get(image_id, (None, {}))
        if thing.key in expected:
            del expected[thing.key]
        elif thing.object_version.modified < older_than:
            orphans[image_id].append(thing)
    drifts = [
        Drift(DriftKind.MISSING_VARIANTS, row.id, row.key, row.object_version, gone=tuple(gone))
        for row, gone in missing.values()
        if gone
    ]
    return drifts + [
        Drift(DriftKind.ORPHANS, image_id, "", variants=tuple(things)) for image_id, things in orphans.items()
    ]


def is_plausible(drift: Drift, row: ImageRecord | None) -> bool:
    """Tell whether the row leaves room for the suspicion, before anything is asked of the bucket."""
    match drift.what:
        case DriftKind.MISSED:
            return row is None or row.status not in LIVE or row.object_version != drift.object_version
        case DriftKind.VANISHED:
            return row is not None and row.status in LIVE and row.object_version == drift.object_version
        case DriftKind.MISSING_VARIANTS:
            return row is not None and row.status is Status.DONE and row.object_version == drift.object_version
        case DriftKind.ORPHANS:
            # Of an image in work nobody can say which variants are its own.
            return row is None or row.status not in IN_WORK
        case DriftKind.STUCK:
            return True


def is_confirmed(drift: Drift, row: ImageRecord | None, original: ObjectVersion | None) -> bool:
    """Judge a suspicion by the row and the original as they are now."""
    if not is_plausible(drift, row):
        return False
    match drift.what:
        case DriftKind.MISSED:
            return original is not None and original == drift.object_version  # a newer one has news of its own
        case DriftKind.VANISHED:
            return original is None
        case DriftKind.MISSING_VARIANTS:
            return original == drift.object_version
        case DriftKind.ORPHANS:
            believed = row.object_version if row is not None and row.status in LIVE else None
            return original == believed  # else the original's own case comes first
        case DriftKind.STUCK:
            return True


def unnamed_variants(drift: Drift, row: ImageRecord | None) -> list[ObjectSummary]:
    """Give those of the finding's variants that the row does not name."""
    named = {variant.key for variant in row.variants} if row else set()
    return [thing for thing in drift.variants if thing.key not in named]
