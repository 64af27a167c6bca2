"""A model test: with lost, duplicated and reordered events, a polling client never sees a status go back.

The rules are those of the services: the tracker's ``fold`` builds the row, and the gateway's ``Lookup`` reads it
and the bucket. No untracked object is deleted, as the gateway's DELETE ensures.
"""

import itertools
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.gateway.test_presenter import DONE
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.identity import ObjectVersion, new_image_id, upload_key
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import fold

ORDER = ("AWAITING_UPLOAD", "EXPIRED", "PENDING", "PROCESSING", "FAILED", "DONE", "DELETED")  # of one generation
KEY = upload_key(new_image_id())


class StatusModel(RuleBasedStateMachine):
    """One key, a ticket for it, its events, and a client that polls after every step."""

    def __init__(self):
        super().__init__()
        self.original = None  # the object in the bucket
        self.row = None
        self.removal_known = False
        self.in_flight = []  # events
        self.numbers = itertools.count(1)
        self.last = None  # generation and status that the client has seen
        self.lookup = Lookup(self, self, self)

    # --- actions of clients -----------------------------------------------------------------------------------

    @rule()
    def create_ticket(self):
        self.in_flight.append(event_factory.requested(key=KEY))

    @rule(notified=st.sets(st.sampled_from(["immediate", "durable"])))
    def upload(self, notified):
        number = next(self.numbers)
        self.original = ObjectVersion(f"{number:032x}", number, 1_700_000_000 + number)
        self.in_flight += [event_factory.put(self.original, key=KEY, target=target) for target in notified]

    @precondition(lambda self: self.original and self.find() and not self.find().untracked_version)
    @rule(notified=st.sets(st.sampled_from(["immediate", "durable"])))
    def delete(self, notified):
        self.original = None
        number = f"{next(self.numbers):X}"
        self.in_flight += [event_factory.delete(number, key=KEY, target=target) for target in notified]

    # --- actions of the services ------------------------------------------------------------------------------

    @precondition(lambda self: self.row and self.row.status == "AWAITING_UPLOAD")
    @rule()
    def sweep(self):
        self.in_flight.append(event_factory.expired(key=KEY))

    @precondition(lambda self: self.original)
    @rule(ends=st.sampled_from([event_factory.done, event_factory.failed]), attempt=st.integers(1, 2))
    def process(self, ends, attempt):
        for create in (event_factory.processing, ends):
            self.in_flight.append(create(self.original, attempt, key=KEY))

    @precondition(lambda self: self.in_flight)
    @rule(number=st.integers(0), is_duplicated=st.booleans())
    def record_event(self, number, is_duplicated):
        number %= len(self.in_flight)
        event = self.in_flight[number] if is_duplicated else self.in_flight.pop(number)
        bucket_state = BucketState(self.original)
        self.row = fold(self.row, [event], lambda: bucket_state, removal_known=self.removal_known)
        self.removal_known |= event.is_removal

    # --- the interfaces of Lookup ------------------------------------------------------------------------------

    async def get(self, image_id, _):
        if self.row is None:
            return None, None
        recorded = {"status": self.row.status.value, "generation": self.row.generation, "version": self.row.version}
        return replace(DONE, id=image_id, key=KEY, **recorded), None

    async def run(self, call, *arguments):
        return call(*arguments)

    def head(self, _, key):
        if self.original is None:
            raise ObjectNotFoundError(key)
        return ObjectMetadata(self.original, self.original.etag, "image/jpeg", {})

    def find(self):
        try:
            self.lookup.find_by_key(KEY, "").send(None)
        except StopIteration as answered:  # the coroutine never waits
            return answered.value

    @invariant()
    def the_status_never_goes_back(self):
        image = self.find()
        current = (image.generation, ORDER.index(image.status)) if image else None
        assert self.last is None or (current is not None and current >= self.last), (
            f"{self.last} was followed by {current}"
        )
        self.last = current


TestStatusModel = StatusModel.TestCase
TestStatusModel.settings = settings(max_examples=100, stateful_step_count=25)
