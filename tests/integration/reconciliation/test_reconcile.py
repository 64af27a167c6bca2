"""Every kind of drift is made by hand and repaired; what only looks like drift is left alone."""

from datetime import timedelta
from threading import Thread

import pytest

from tests.support.waiting import wait_until
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    VARIANTS_BUCKET,
    image_id_of,
    new_image_id,
    upload_key,
    variant_key,
)
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.background import ShutdownRequested
from thumbmill.tracker.on_demand.request import RequestState
from thumbmill.tracker.reconciliation import barrier, scan

KEY = "holiday/ä b+c 100%.jpg"
ID = image_id_of(KEY)
PUT, REMOVED = "ObjectCreated:Put", "ObjectRemoved:Delete"
ORPHAN = variant_key(image_id_of("missing.jpg"), "cd" * 32, "thumbnail", "1.3", "webp")


def grow_old(world):
    """Make all rows an hour older."""
    world.ask("UPDATE images SET updated_at = updated_at - interval '1 hour'")


def test_without_drift_nothing_changes(world):
    keys = [KEY, upload_key(new_image_id()), "a", "Z", "z.jpg", "\N{EURO SIGN}", "\N{GRINNING FACE}"]
    for key in keys:
        world.make_done(key)
    before = world.everything()
    assert world.reconcile() == {}
    assert world.everything() == before


# --- each kind -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, upload_key(new_image_id())], ids=["any", "own"])
def test_an_object_whose_events_were_lost_is_republished(world, key):
    object_version = world.put(key)
    world.drain_image_queue()
    assert world.reconcile() == {"missed": 1}
    row = world.row(image_id_of(key))
    assert (row["status"], row["object_version"], row["key"]) == ("PENDING", str(object_version), key)
    assert world.drain_image_queue() == [("republished", PUT, key, False)]
    assert world.repairs(image_id_of(key)) == ["missed"]
    assert world.reconcile() == {}


def test_a_replaced_object_whose_events_were_lost_is_a_new_generation(world):
    world.make_done(KEY)
    object_version = world.put(KEY, b"other bytes")
    world.drain_image_queue()
    assert world.reconcile()["missed"] == 1
    row = world.row(ID)
    assert (row["status"], row["object_version"], row["generation"]) == ("PENDING", str(object_version), 2)
    assert world.drain_image_queue() == [("republished", PUT, KEY, False)]


def test_a_restored_object_whose_events_were_lost_is_republished(world):
    object_version = world.put(KEY)
    world.record(event_factory.put(object_version, key=KEY))
    world.delete(ORIGINALS_BUCKET, KEY)
    world.record(event_factory.delete(key=KEY))
    assert world.row(ID)["status"] == "DELETED"
    world.put(KEY)
    world.drain_image_queue()
    assert world.reconcile() == {"missed": 1}
    assert world.row(ID)["status"] == "PENDING"


def test_a_row_whose_object_is_missing_is_deleted_and_its_removal_republished(world):
    world.make_done(KEY)
    world.delete(ORIGINALS_BUCKET, KEY)
    assert world.reconcile()["vanished"] == 1
    assert world.row(ID)["status"] == "DELETED"
    assert ("republished", REMOVED, KEY, False) in world.drain_image_queue()
    assert "vanished" in world.repairs(ID)


def test_missing_variants_are_generated_in_a_run_of_their_own(world):
    _, keys = world.make_done(KEY)
    world.delete(VARIANTS_BUCKET, keys[1])
    assert world.reconcile() == {"missing_variants": 1}
    assert world.drain_image_queue() == [("republished", PUT, KEY, True)]
    assert world.row(ID)["status"] == "DONE"
    assert world.repairs(ID) == ["missing_variants"]
    assert world.reconcile() == {}, "not again while that may be in flight"
    assert world.drain_image_queue() == []


def test_variants_of_other_presets_in_a_later_run_count(world):
    world.make_done(KEY)
    _, keys = world.make_done(KEY, version="2.3", run_id="2026-11-22T08:00:00+00:00")
    assert [variant["key"] for variant in world.row(ID)["variants"]] == keys
    wait_for_age(world)
    assert world.reconcile()["orphans"] == 1
    assert sorted(world.system.keys(VARIANTS_BUCKET)) == sorted(keys)


def test_variants_that_no_row_names_are_deleted(world):
    _, keys = world.make_done(KEY)
    old = variant_key(ID, "cd" * 32, "thumbnail", "1.3", "webp")
    for key in (old, ORPHAN, "another/key"):
        world.put_variant(key)
    wait_for_age(world)
    assert world.reconcile() == {"orphans": 2}
    assert sorted(world.system.keys(VARIANTS_BUCKET)) == sorted([*keys, "another/key"])
    assert world.repairs(ID) == ["orphans"]
    assert world.row(ID)["status"] == "DONE"


def test_young_variants_stay(world):
    world.put_variant(ORPHAN)
    wait_for_age(world)
    assert world.reconcile(variant_age=600) == {}
    assert world.system.keys(VARIANTS_BUCKET) == [ORPHAN]


@pytest.mark.parametrize("events", [(), (event_factory.processing,)])
def test_a_stuck_image_is_republished(world, events):
    object_version = world.put(KEY)
    world.record(event_factory.put(object_version, key=KEY), *(make(object_version, key=KEY) for make in events))
    world.drain_image_queue()
    assert world.reconcile() == {}, "it has time"
    grow_old(world)
    assert world.reconcile() == {"stuck": 1}
    assert world.drain_image_queue() == [("republished", PUT, KEY, False)]
    assert world.repairs(ID) == ["stuck"]
    assert world.reconcile() == {}, "once in that time"


def test_an_image_in_a_long_queue_is_not_stuck_unless_later_ones_are_processed(world):
    world.record(event_factory.put(world.put(KEY), key=KEY))
    grow_old(world)
    assert world.reconcile() == {}, "its own message is in the queue"
    later = upload_key(new_image_id())
    world.record(event_factory.processing(world.put(later), key=later))
    assert world.reconcile() == {"stuck": 1}


def test_an_image_whose_message_may_be_delayed_is_not_stuck(world):
    object_version = world.put(KEY)
    world.record(event_factory.put(object_version, key=KEY), event_factory.processing(object_version, key=KEY))
    world.drain_image_queue()
    grow_old(world)
    with world.system.channel() as channel:
        channel.basic_publish("", "image_queue.delay.5m", b"waits for a slow slot")
        try:
            wait_until(lambda: world.system.message_count("image_queue.delay.5m") == 1, what="the delayed message")
            assert world.reconcile() == {}
        finally:
            channel.queue_purge("image_queue.delay.5m")
    assert world.reconcile() == {"stuck": 1}


def test_nothing_is_stuck_while_its_events_may_be_in_flight(world):
    world.record(event_factory.put(world.put(KEY), key=KEY))
    world.drain_image_queue()
    grow_old(world)
    world.catch_up(timedelta(minutes=-55))
    world.reconciler().repairer.repair_stuck()
    assert world.drain_image_queue() == []


# --- what only looks like drift ------------------------------------------------------------------------------


def test_an_object_below_another_objects_key_is_not_listed_and_stays(world):
    world.make_done("a")
    world.make_done("a/b")
    assert "a/b" not in world.system.keys(ORIGINALS_BUCKET), "if it is listed now, write that in docs/facts.md"
    assert world.reconcile() == {}
    assert world.row(image_id_of("a/b"))["status"] == "DONE"


class IncompleteStore(Storage):
    """Lists fewer objects than there are, as a cache or a lost drive would."""

    def list_page(self, bucket, *, after="", token=""):
        page = super().list_page(bucket, after=after, token=token)
        page.objects.clear()
        return page


def test_an_empty_listing_changes_nothing(world):
    world.make_done(KEY)
    before = world.everything()
    assert world.reconcile(storage=IncompleteStore(world.settings)) == {}
    assert world.everything() == before


class UnavailableStore(Storage):
    """Lists, and is unavailable for requests about one object."""

    def head(self, bucket, key):
        raise DependencyUnavailable("minio", f"{bucket}/{key}")


def test_an_unavailable_store_changes_nothing(world):
    world.make_done(KEY)
    world.put_variant(ORPHAN)
    world.delete(ORIGINALS_BUCKET, KEY)
    wait_for_age(world)
    before = world.everything()
    with pytest.raises(DependencyUnavailable):
        world.reconcile(storage=UnavailableStore(world.settings))
    assert world.everything() == before


def test_nothing_is_decided_before_the_tracker_has_seen_published_events(world, other_repository):
    """An upload and a deletion during the pass, whose events the tracker processes only now."""
    world.make_done("deleted.jpg")
    uploaded = world.put("uploaded.jpg")
    world.delete(ORIGINALS_BUCKET, "deleted.jpg")
    world.catch_up(timedelta(hours=-1))
    found = []
    thread = Thread(target=lambda: found.append(world.reconcile(variant_age=600)))
    thread.start()
    wait_until(lambda: world.ask(ASKS_FOR_PROGRESS), what="the reconciler to wait")
    other = type(world.tracker)(other_repository, world.storage, None)
    other.record([event_factory.put(uploaded, key="uploaded.jpg"), event_factory.delete(key="deleted.jpg")])
    world.catch_up(timedelta(hours=1))
    thread.join()
    assert found == [{}]
    assert world.drain_image_queue() == []


ASKS_FOR_PROGRESS = """SELECT 1 FROM pg_stat_activity
    WHERE application_name = 'test' AND state = 'idle' AND query LIKE '%%caught_up_to%%epoch%%'"""


def test_without_an_active_tracker_a_pass_fails_with_the_reason(world, monkeypatch):
    world.put(KEY)
    world.catch_up(timedelta(hours=-1))
    monkeypatch.setattr(barrier, "STALLED_SECONDS", 0.3)
    with pytest.raises(DependencyUnavailable, match="is one running"):
        world.reconcile()


def test_variants_written_again_since_they_were_listed_stay(world):
    world.put_variant(ORPHAN)
    wait_for_age(world)
    reconciler = world.reconciler()

    class Late(type(reconciler.repairer.barrier)):
        def wait(self):
            world.system.s3.put_object(Bucket=VARIANTS_BUCKET, Key=ORPHAN, Body=b"again")

    object.__setattr__(reconciler.repairer, "barrier", Late(reconciler.repository, world.stop))
    *_, progress = reconciler.run_pass(world.request())
    assert progress.report["found"]["orphans"] == 0
    assert world.system.keys(VARIANTS_BUCKET) == [ORPHAN]


# --- the course of a pass ------------------------------------------------------------------------------------


def test_a_dry_run_reports_the_same_and_changes_nothing(world):
    _, keys = world.make_done("variant.jpg")
    world.delete(VARIANTS_BUCKET, keys[0])
    world.make_done("vanished.jpg", presets=())
    world.delete(ORIGINALS_BUCKET, "vanished.jpg")
    world.record(event_factory.put(world.put("stuck.jpg"), key="stuck.jpg"))
    grow_old(world)
    world.put("missed.jpg")
    world.put_variant(ORPHAN)
    wait_for_age(world)
    world.drain_image_queue()
    before = world.everything()
    expected = dict.fromkeys(("missed", "vanished", "stuck", "missing_variants", "orphans"), 1)
    assert world.reconcile(dry_run=True) == expected
    assert world.everything() == before
    assert world.reconcile() == expected


def test_a_restarted_tracker_continues_where_it_was(world, monkeypatch):
    monkeypatch.setattr(scan, "PAGE", 1)
    keys = [f"{n}.jpg" for n in range(6)]
    for key in keys:
        world.put(key)
    world.drain_image_queue()
    small = SmallPages(world.settings)
    for _ in range(4):  # each time another process
        world.reconciler(storage=small, reconcile_objects_per_minute=10**9).run_once()
    assert [key for _, _, key, _ in world.drain_image_queue()] == keys[:4]
    assert small.places == ["", *keys[:3]]
    [place] = world.ask("SELECT * FROM reconciliation")
    assert (place["last_key"], place["objects"], place["step"]) == (keys[3], 4, 4)


class SmallPages(Storage):
    """Lists one object at a time, and records after which keys."""

    def __init__(self, settings):
        super().__init__(settings)
        self.places = []

    def list_page(self, bucket, *, after="", token=""):  # noqa: ARG002 - its own tokens mean nothing to MinIO
        self.places.append(after)
        page = super().list_page(bucket, after=after)
        if len(page.objects) > 1:
            del page.objects[1:]
            return type(page)(page.objects, "more", page.server_time)
        return page


def test_the_rate_limit_holds_for_all_trackers_together(world, other_repository):
    for n in range(3):
        world.make_done(f"{n}.jpg")
    one = world.reconciler(reconcile_objects_per_minute=1)
    other = world.reconciler(other_repository, reconcile_objects_per_minute=1)
    assert one.run_once() == 3 * 60, "three objects, one a minute"
    assert one.repairer.found.total() == 0
    for each in (one, other):
        assert 2 * 60 < each.run_once() <= 3 * 60, "not due"
    [place] = world.ask("SELECT * FROM reconciliation")
    assert (place["bucket"], place["step"]) == (VARIANTS_BUCKET, 1)


def test_after_a_pass_the_next_waits_for_the_interval(world):
    reconciler = world.reconciler(reconcile_interval_seconds=777)
    assert [reconciler.run_once(), reconciler.run_once()] == [0, 0]
    assert 700 < reconciler.run_once() <= 777
    [place] = world.ask("SELECT * FROM reconciliation")
    assert place["pass_began"] <= place["pass_ended"]
    assert (place["bucket"], place["last_key"], place["step"]) == (ORIGINALS_BUCKET, "", 2)
    assert world.reconciler(reconcile_interval_seconds=0.001).run_once() == 0, "another setting counts at once"
    assert world.ask("SELECT step FROM reconciliation") == [{"step": 3}]


def test_two_never_reconcile_at_once(world, other_repository):
    world.put(KEY)
    one, other = world.reconciler(), world.reconciler(other_repository)
    request = world.request()
    with one.repository.lock() as locked:
        assert locked
        assert other.run_once() > 0
        assert world.requests.find(request.kind).state is RequestState.WAITING
    assert world.row(ID) is None
    other.run_once()
    assert world.requests.find(request.kind).progress.report["found"]["missed"] == 1


# --- on demand -----------------------------------------------------------------------------------------------


def test_a_request_runs_at_once_without_a_pause_and_leaves_the_loop_where_it_was(world):
    for n in range(3):
        world.make_done(f"{n}.jpg")
    slow = world.reconciler(reconcile_objects_per_minute=1)
    assert slow.run_once() == 3 * 60
    [before] = world.ask("SELECT * FROM reconciliation")
    request = world.request()
    assert slow.run_once() == 0
    after = world.requests.find(request.kind, request.id)
    assert (after.state, after.requested_by) == (RequestState.DONE, "ada")
    assert (after.progress.report["originals"], after.progress.report["variants"]) == (3, 6)
    assert after.progress.report["seconds"] > 0
    assert world.ask("SELECT * FROM reconciliation") == [before]


def test_two_requests_run_one_after_the_other(world):
    world.put(KEY)
    world.drain_image_queue()
    first, second = world.request(dry_run=True), world.request()
    reconciler = world.reconciler()
    reconciler.run_once()
    assert world.requests.find(first.kind, first.id).progress.report["found"]["missed"] == 1
    assert world.requests.find(first.kind, second.id).state is RequestState.WAITING
    assert world.row(ID) is None
    reconciler.run_once()
    assert world.requests.find(first.kind, second.id).state is RequestState.DONE
    assert world.row(ID)["status"] == "PENDING"


def test_a_tracker_that_stops_leaves_its_request_to_another(world, other_repository, monkeypatch):
    monkeypatch.setattr(scan, "PAGE", 1)
    for n in range(4):
        world.put(f"{n}.jpg")
    world.drain_image_queue()
    request = world.request()
    small = SmallPages(world.settings)
    one = world.reconciler(storage=small)
    steps = one.run_pass(world.requests.start_next(request.kind))
    for _ in range(2):
        assert world.requests.save(request.id, next(steps))
    world.stop.set()
    with pytest.raises(ShutdownRequested):
        next(steps)
    world.stop.clear()
    assert world.requests.find(request.kind, request.id).state is RequestState.RUNNING

    world.reconciler(other_repository, storage=small).run_once()
    done = world.requests.find(request.kind, request.id)
    assert (done.state, done.error) == (RequestState.DONE, "")
    assert done.progress.report["found"]["missed"] == 4
    assert [key for _, _, key, _ in world.drain_image_queue()] == [f"{n}.jpg" for n in range(4)], "each once"


def test_a_cancelled_request_ends_after_its_batch(world):
    request = world.request()
    running = world.requests.start_next(request.kind)
    steps = world.reconciler().run_pass(running)
    progress = next(steps)
    assert world.requests.cancel(request.kind, request.id).state is RequestState.CANCELLED
    assert not world.requests.save(request.id, progress)
    assert world.requests.start_next(request.kind) is None


def wait_for_age(world):
    """Last-Modified is compared by whole seconds of the store's clock."""
    newest = max(
        world.storage.head(VARIANTS_BUCKET, key).object_version.modified
        for key in world.system.keys(VARIANTS_BUCKET)
    )
    wait_until(lambda: world.storage.list_page(VARIANTS_BUCKET).server_time > newest, 5, "a second to pass")


def test_a_rejected_object_that_is_still_there_is_deleted(world):
    key = upload_key(new_image_id())
    object_version = world.put(key)
    world.record(event_factory.requested(key=key), event_factory.presigned_upload(object_version, key=key))
    image_id = image_id_of(key)
    world.ask(
        "UPDATE images SET status = 'DELETED', presigned_upload = 'spent', rejected_version = object_version,"
        " variants_removed = true WHERE id = %s",
        [image_id],
    )
    world.reconcile(dry_run=True)
    assert world.system.keys(ORIGINALS_BUCKET) == [key]
    assert world.reconcile() == {}
    assert world.system.keys(ORIGINALS_BUCKET) == []
    assert world.row(image_id)["status"] == "DELETED"
    assert world.ask("SELECT 1 FROM events WHERE image_id = %s AND type = 'tracker.rejected'", [image_id])


def test_variants_of_a_deleted_image_without_a_key_are_deleted(world):
    image_id, keys = world.make_done("forgotten.jpg")
    world.delete(ORIGINALS_BUCKET, "forgotten.jpg")
    world.record(event_factory.delete(key="forgotten.jpg"), event_factory.removed(key="forgotten.jpg"))
    assert world.row(image_id)["key"] == ""
    assert world.system.keys(VARIANTS_BUCKET) == sorted(keys)
    assert world.reconcile(variant_age=-60) == {"orphans": 1}
    assert world.system.keys(VARIANTS_BUCKET) == []
