"""A model: events are lost, duplicated and shuffled; after reconciliation the row follows from the bucket.

The rules are the program's own (``fold``, ``compare_*``, ``is_confirmed``); the bucket and the queues are lists.
"""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.unit.tracker.event_factory import delete, expired, payload, put, requested
from thumbmill.core.contracts.events import Done, Processing, Removed, Variant
from thumbmill.core.contracts.identity import ObjectVersion, image_id_of, variant_key
from thumbmill.core.contracts.status import Status
from thumbmill.core.object_store.listing import ObjectSummary
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import fold
from thumbmill.tracker.reconciliation.drift import (
    HAS_OBJECT,
    IN_PROGRESS,
    DriftKind,
    ExpectedObject,
    compare_originals,
    compare_variants,
    is_confirmed,
)

KEY = "holiday/beach.jpg"
ID = image_id_of(KEY)
LATER = 10**12  # every variant is old enough
ROUNDS = 3  # of reconciliation: one repairs, its effects may need another, the last finds nothing
SOURCES = [ObjectVersion(str(n) * 32, n, 1_700_000_000 + n) for n in range(1, 4)]


class World(RuleBasedStateMachine):
    """One key, the events about it, and the tracker and thumbnailer that process them."""

    def __init__(self):
        super().__init__()
        self.original = None  # what the bucket holds
        self.processed = set()  # keys of variants
        self.version = 1  # of the thumbnailer's presets
        self.row = None
        self.removal_known = False
        self.to_tracker = []  # events in flight
        self.to_thumbnailer = []  # (run, attempt) of messages in flight
        self.numbers = itertools.count(1)

    # --- what clients do -----------------------------------------------------------------------------------

    @rule(object_version=st.sampled_from([*SOURCES, None]), received=st.booleans())
    def upload_or_delete(self, object_version, received):
        self.original = object_version
        if received:
            self._announce(object_version)

    @rule()
    def ask_for_a_form(self):
        self.to_tracker.append(requested(key=KEY))

    @precondition(lambda self: self.row and self.row.status is Status.AWAITING_UPLOAD)
    @rule()
    def sweep(self):
        self.to_tracker.append(expired(key=KEY))

    def _announce(self, object_version):
        number = f"{next(self.numbers):X}"
        for target in ("immediate", "durable"):
            event = (
                put(object_version, key=KEY, target=target)
                if object_version
                else delete(number, key=KEY, target=target)
            )
            self.to_tracker.append(event)
        self.to_thumbnailer.append(("", 1))

    # --- what happens to messages, and to what is stored ---------------------------------------------------

    @precondition(lambda self: self.to_tracker)
    @rule(data=st.data(), fate=st.sampled_from(["deliver", "deliver", "double", "lose"]))
    def move_an_event(self, data, fate):
        self._move(self.to_tracker, self.record, data, fate)

    @precondition(lambda self: self.to_thumbnailer)
    @rule(data=st.data(), fate=st.sampled_from(["deliver", "deliver", "double", "lose"]))
    def move_a_notification(self, data, fate):
        self._move(self.to_thumbnailer, self.process, data, fate)

    def _move(self, queue, deliver, data, fate):
        message = queue.pop(data.draw(st.integers(0, len(queue) - 1)))
        if fate != "lose":
            deliver(message)
        if fate == "double":
            queue.append(message)

    @rule()
    def wipe_the_broker(self):
        self.to_tracker.clear()
        self.to_thumbnailer.clear()

    @rule()
    def lose_the_variants(self):
        self.processed.clear()

    @rule(object_version=st.sampled_from(SOURCES))
    def leave_a_variant(self, object_version):
        self.processed.add(self._thumbnail_of(object_version))

    @rule()
    def deploy_other_presets(self):
        self.version += 1

    def _thumbnail_of(self, object_version):
        return variant_key(ID, object_version.etag * 2, "thumbnail", str(self.version), "webp")

    # --- the tracker and the thumbnailer ----------------------------------------------------------------------

    def record(self, *events):
        self.row = fold(self.row, events, lambda: BucketState(self.original), removal_known=self.removal_known)
        self.removal_known |= any(event.is_removal for event in events)

    def process(self, message):
        run_id, attempt = message
        if self.original is None:
            self.processed.clear()
            self.to_tracker.append(payload(Removed(key=KEY, cause=str(next(self.numbers)))))
            return
        about = {"key": KEY, "object_version": self.original, "run_id": run_id, "attempt": attempt}
        key = self._thumbnail_of(self.original)
        self.processed.add(key)
        variant = Variant(type="thumbnail", key=key, width=1, height=1, bytes=1, content_type="image/webp")
        finished = Done(
            **about, sha256=self.original.etag * 2, width=1, height=1, format="JPEG", variants=[variant]
        )
        self.to_tracker += [payload(Processing(**about)), payload(finished)]

    # --- reconciliation ----------------------------------------------------------------------------------------

    def teardown(self):
        self.reconcile()

    @rule()
    def reconcile(self):
        """Deliver what the broker has; after that only reconciliation adds events."""
        for _ in range(ROUNDS):
            self._settle()
            drifts = self._find()
            self._repair(drifts)
            if not drifts:
                break
        else:
            raise AssertionError(f"still {drifts}")
        self._check()

    def _settle(self):
        while self.to_tracker or self.to_thumbnailer:
            for queue, deliver in ((self.to_thumbnailer, self.process), (self.to_tracker, self.record)):
                while queue:
                    deliver(queue.pop())

    def _find(self):
        rows = [self.row] if self.row and self.row.status in HAS_OBJECT else []
        live = [
            ExpectedObject(ID, KEY, row.object_version, tuple(variant.key for variant in row.variants))
            for row in rows
        ]
        objects = [ObjectSummary(KEY, self.original)] if self.original else []
        variants = [ObjectSummary(key, SOURCES[0]) for key in sorted(self.processed)]
        done = [image for image in live if self.row.status is Status.DONE]
        suspected = compare_originals(objects, live) + compare_variants(variants, done, older_than=LATER)
        stuck = [DriftKind.STUCK] if rows and self.row.status in IN_PROGRESS else []
        return stuck + [drift for drift in suspected if is_confirmed(drift, self.row, self.original)]

    def _repair(self, drifts):
        for drift in drifts:
            what = drift if drift is DriftKind.STUCK else drift.kind
            number = f"{next(self.numbers):X}"
            match what:
                case DriftKind.MISSED:
                    self.record(put(self.original, key=KEY, target="reconciler"))
                    self.to_thumbnailer.append(("", 1))
                case DriftKind.VANISHED:
                    self.record(delete(number, key=KEY, target="reconciler"))
                    self.to_thumbnailer.append(("", 1))
                case DriftKind.STUCK:
                    self.to_thumbnailer.append((self.row.run_id, 1))
                case DriftKind.MISSING_VARIANTS:
                    self.to_thumbnailer.append((number.zfill(8), 1))
                case DriftKind.ORPHANS:
                    self.processed -= {message.key for message in drift.variants}

    def _check(self):
        if self.original is None:
            assert self.row is None or self.row.status in {Status.DELETED, Status.AWAITING_UPLOAD, Status.EXPIRED}
            assert not self.processed
            return
        assert (self.row.status, self.row.object_version) == (Status.DONE, self.original)
        [variant] = self.row.variants
        assert self.processed == {variant.key}
        assert f"/{self.original.etag[:16]}-" in variant.key


World.TestCase.settings = settings(max_examples=400, stateful_step_count=15, deadline=None)
TestWorld = World.TestCase
