"""A model: whatever is lost, doubled or shuffled, who asks again and again never sees a status go back.

The rules are the programs' own: the tracker's ``states.fold`` makes the row, the gateway's ``Lookup`` asks for it
and looks into the bucket. Objects of which no row tells are deleted by nobody, as the gateway's DELETE sees to.
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

ORDER = ("AWAITING_UPLOAD", "PENDING", "PROCESSING", "FAILED", "DONE", "DELETED")  # of one generation
KEY = upload_key(new_image_id())


class World(RuleBasedStateMachine):
    """One key, a form for it, the events about it, and a client that asks after every step."""

    def __init__(self):
        super().__init__()
        self.original = None  # what the bucket holds
        self.row = None
        self.removal_known = False
        self.under_way = []  # facts
        self.numbers = itertools.count(1)
        self.last = None  # what the client was told
        self.lookup = Lookup(self, self, self)

    # --- what clients do -----------------------------------------------------------------------------------

    @rule()
    def ask_for_a_form(self):
        self.under_way.append(event_factory.requested(key=KEY))

    @rule(heard=st.sets(st.sampled_from(["immediate", "durable"])))
    def upload(self, heard):
        number = next(self.numbers)
        self.original = ObjectVersion(f"{number:032x}", number, 1_700_000_000 + number)
        self.under_way += [event_factory.put(self.original, key=KEY, target=target) for target in heard]

    @precondition(lambda self: self.original and self.look() and not self.look().untracked_version)
    @rule(heard=st.sets(st.sampled_from(["immediate", "durable"])))
    def delete(self, heard):
        self.original = None
        number = f"{next(self.numbers):X}"
        self.under_way += [event_factory.delete(number, key=KEY, target=target) for target in heard]

    # --- what the services do ------------------------------------------------------------------------------

    @precondition(lambda self: self.original)
    @rule(ends=st.sampled_from([event_factory.done, event_factory.failed]), attempt=st.integers(1, 2))
    def process(self, ends, attempt):
        for say in (event_factory.processing, ends):
            self.under_way.append(say(self.original, attempt, key=KEY))

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0), again=st.booleans())
    def hear(self, number, again):
        number %= len(self.under_way)
        fact = self.under_way[number] if again else self.under_way.pop(number)
        seen = BucketState(self.original)
        self.row = fold(self.row, [fact], lambda: seen, removal_known=self.removal_known)
        self.removal_known |= fact.is_removal

    # --- what the gateway asks ------------------------------------------------------------------------------

    async def get(self, image_id):
        if self.row is None:
            return None, None
        told = {"status": self.row.status.value, "generation": self.row.generation, "version": self.row.version}
        return replace(DONE, id=image_id, key=KEY, **told), None

    async def run(self, call, *arguments):
        return call(*arguments)

    def head(self, _, key):
        if self.original is None:
            raise ObjectNotFoundError(key)
        return ObjectMetadata(self.original, self.original.etag, "image/jpeg", {})

    def look(self):
        try:
            self.lookup.find_by_key(KEY).send(None)
        except StopIteration as answered:  # nothing here waits
            return answered.value

    @invariant()
    def the_status_only_goes_on(self):
        image = self.look()
        told = (image.generation, ORDER.index(image.status)) if image else None
        assert self.last is None or (told is not None and told >= self.last), f"{self.last} was followed by {told}"
        self.last = told


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=100, stateful_step_count=25)
