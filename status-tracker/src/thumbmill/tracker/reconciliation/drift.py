"""What a difference between the buckets and the rows means. Pure: lists in, findings out.

A comparison of two lists, neither of which is of one moment, gives suspicions. Each is looked at again on its own,
with what is true by then, and ``is_true`` has the last word.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from thumbmill.core.contracts.identity import ObjectVersion, image_id_of, image_id_of_variant
from thumbmill.core.object_store.listing import ObjectSummary
from thumbmill.tracker.image_record import ImageRecord, Status


class What(StrEnum):
    """What can be wrong, as the log, the metric and the timeline have it."""

    MISSED = "missed"  # an object that no row knows: it is announced again
    VANISHED = "vanished"  # a row whose object is gone: it is marked
    STUCK = "stuck"  # a row that nobody works on: its image is announced again
    VARIANTS_GONE = "variants_gone"  # a DONE row some of whose variants are gone: they are made again
    ORPHANS = "orphans"  # variants that no row names: they are removed


@dataclass(frozen=True, slots=True)
class Live:
    """A row that says there is an object."""

    id: UUID
    key: str
    object_version: ObjectVersion
    variants: tuple[str, ...] = ()  # keys; left out where only originals are compared


@dataclass(frozen=True, slots=True)
class Finding:
    """One suspicion about one image."""

    what: What
    image_id: UUID
    key: str  # the original's; empty where only a variant is known
    object_version: ObjectVersion | None = None  # what the listing or the row says of the original
    variants: tuple[ObjectSummary, ...] = ()  # the orphans
    gone: tuple[str, ...] = ()  # keys of variants


IN_WORK = {Status.PENDING, Status.PROCESSING}
LIVE = IN_WORK | {Status.DONE, Status.FAILED}


def compare_originals(objects: Iterable[ObjectSummary], rows: Iterable[Live]) -> list[Finding]:
    """Compare the same range of keys in bucket and database."""
    known = {row.key: row for row in rows}
    findings = []
    for thing in objects:
        row = known.pop(thing.key, None)
        if row is None or row.object_version != thing.object_version:
            findings.append(Finding(What.MISSED, image_id_of(thing.key), thing.key, thing.object_version))
    return [*findings, *(Finding(What.VANISHED, row.id, row.key, row.object_version) for row in known.values())]


def compare_variants(objects: Iterable[ObjectSummary], rows: Iterable[Live], *, older_than: int) -> list[Finding]:
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
    findings = [
        Finding(What.VARIANTS_GONE, row.id, row.key, row.object_version, gone=tuple(gone))
        for row, gone in missing.values()
        if gone
    ]
    return findings + [
        Finding(What.ORPHANS, image_id, "", variants=tuple(things)) for image_id, things in orphans.items()
    ]


def can_be_judged(finding: Finding, row: ImageRecord | None) -> bool:
    """Tell whether the row leaves room for the suspicion, before anything is asked of the bucket."""
    match finding.what:
        case What.MISSED:
            return row is None or row.status not in LIVE or row.object_version != finding.object_version
        case What.VANISHED:
            return row is not None and row.status in LIVE and row.object_version == finding.object_version
        case What.VARIANTS_GONE:
            return row is not None and row.status is Status.DONE and row.object_version == finding.object_version
        case What.ORPHANS:
            # Of an image in work nobody can say which variants are its own.
            return row is None or row.status not in IN_WORK
        case What.STUCK:
            return True


def is_true(finding: Finding, row: ImageRecord | None, original: ObjectVersion | None) -> bool:
    """Judge a suspicion by the row and the original as they are now."""
    if not can_be_judged(finding, row):
        return False
    match finding.what:
        case What.MISSED:
            return original is not None and original == finding.object_version  # a newer one has news of its own
        case What.VANISHED:
            return original is None
        case What.VARIANTS_GONE:
            return original == finding.object_version
        case What.ORPHANS:
            believed = row.object_version if row is not None and row.status in LIVE else None
            return original == believed  # else the original's own case comes first
        case What.STUCK:
            return True


def orphans_of(finding: Finding, row: ImageRecord | None) -> list[ObjectSummary]:
    """Give those of the finding's variants that the row does not name."""
    named = {variant.key for variant in row.variants} if row else set()
    return [thing for thing in finding.variants if thing.key not in named]
