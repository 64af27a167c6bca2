"""What the tracker does when it is asked: tries again, makes again, withdraws; once, whatever dies meanwhile."""

from datetime import UTC, datetime, timedelta
from threading import Event
from types import SimpleNamespace

import pytest

from tests.integration.postgres.messages import ID, announced, head, spoken
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY, OWN_KEY, V1, V2
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.message import Message
from thumbmill.tracker.republish import upload_body
from thumbmill.tracker.retry_on_demand import Retrier, Wishes, take_retry_orders

EXHAUSTED = event_factory.failed(code=ErrorCode.ATTEMPTS_EXHAUSTED)
OWN_ID = image_id_of(OWN_KEY)


def away(*_, **__):
    raise DependencyUnavailable("rabbitmq")


def types(database, image_id=ID):
    return [fact["type"] for fact in database.timeline(image_id)]


# --- another try ---------------------------------------------------------------------------------------------


@pytest.fixture
def failed(tracker, bucket, publications):
    bucket.heads[KEY] = head()
    tracker.handle([announced(), spoken(EXHAUSTED)], publications)


@pytest.mark.usefixtures("failed")
def test_another_try_is_announced_as_a_run_of_its_own(tracker, database, publications):
    tracker.handle([spoken(event_factory.asked_again("2026"))], publications)
    row = database.status(ID)
    assert (row["status"], row["run_id"], row["error"]) == ("PENDING", "2026", None)
    assert publications.runs == ["2026"]
    assert parse_storage_events(publications.bodies[0])[0].object_version == V1
    assert "image.retry_requested" in types(database)


@pytest.mark.usefixtures("failed")
def test_a_second_request_makes_no_second_run(tracker, database, publications):
    requests = [spoken(event_factory.asked_again("2026-1")), spoken(event_factory.asked_again("2026-2"))]
    tracker.handle(requests, publications)
    tracker.handle(requests[1:], publications)
    assert publications.runs == ["2026-1"]
    assert types(database).count("image.retry_requested") == 1
    tracker.handle([spoken(event_factory.failed(run_id="2026-1", code=ErrorCode.ATTEMPTS_EXHAUSTED))], publications)
    tracker.handle(requests, publications)
    assert publications.runs == ["2026-1"]
    assert database.status(ID)["status"] == "FAILED"


@pytest.mark.usefixtures("failed")
def test_a_try_that_could_not_be_announced_is_made_up_for(tracker, publications):
    request = spoken(event_factory.asked_again("2026"))
    with pytest.raises(DependencyUnavailable):
        tracker.handle([request], SimpleNamespace(publish=away))
    tracker.handle([request], publications)
    assert publications.runs == ["2026"]


@pytest.mark.usefixtures("failed")
def test_the_try_of_an_object_that_is_gone_finds_so(tracker, database, bucket, publications):
    del bucket.heads[KEY]
    tracker.handle([spoken(event_factory.asked_again("2026"))], publications)
    assert database.status(ID)["status"] == "DELETED"
    assert parse_storage_events(publications.bodies[0])[0].is_removal


# --- variants that are gone ----------------------------------------------------------------------------------


@pytest.fixture
def done(tracker, bucket, publications):
    bucket.heads[KEY] = head()
    fact = event_factory.done()
    tracker.handle([announced(), spoken(fact)], publications)
    return fact.payload.variants[0].key


def test_a_variant_that_is_gone_is_made_again_once(tracker, database, bucket, publications, done):
    bucket.lost = {done}
    tracker.handle([spoken(event_factory.missed(done))], publications)
    row = database.status(ID)
    assert (row["status"], row["missing"]) == ("DONE", [done])
    [run_id] = publications.runs
    tracker.handle([spoken(event_factory.missed(done, run_id="2027"))], publications)
    assert publications.runs == [run_id], "not twice in a minute"
    tracker.handle([spoken(event_factory.done(run_id=run_id))], publications)
    assert database.status(ID)["missing"] == []


def test_nobodys_word_alone_makes_anything_again(tracker, database, bucket, publications, done):
    bucket.lost = {"another/image's"}
    for keys in ([done], ["another/image's"], []):
        tracker.handle([spoken(event_factory.missed(*keys))], publications)
    tracker.handle([spoken(event_factory.missed(done, object_version=V2))], publications)
    tracker.handle([spoken(event_factory.missed(done, key="no such image"))], publications)
    assert publications.bodies == []
    assert database.status(ID)["missing"] == []


def test_where_the_original_is_gone_the_image_is_deleted(tracker, database, bucket, publications, done):
    bucket.heads.clear()
    bucket.lost = {done}
    tracker.handle([spoken(event_factory.missed())], publications)
    assert database.status(ID)["status"] == "DELETED"
    assert parse_storage_events(publications.bodies[0])[0].is_removal


# --- forms ---------------------------------------------------------------------------------------------------


def brought(object_version, target="immediate"):
    body = upload_body(OWN_KEY, head(object_version)).replace(b"ObjectCreated:Put", b"ObjectCreated:Post")
    return Message(body, target, "application/json")


@pytest.fixture
def used(tracker, bucket, publications):
    bucket.heads[OWN_KEY] = head()
    tracker.handle([spoken(event_factory.requested(key=OWN_KEY)), brought(V1)], publications)
    assert bucket.heads


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("deleted", [False, True])
def test_what_a_form_was_not_good_for_is_removed_and_the_timeline_says_so(
    tracker, database, bucket, publications, deleted
):
    if deleted:
        bucket.heads.clear()
        tracker.handle([spoken(event_factory.removed(key=OWN_KEY))], publications)
    bucket.heads[OWN_KEY] = head(V2)
    tracker.handle(
        [brought(V2), spoken(event_factory.processing(V2, key=OWN_KEY)), brought(V2, "durable")], publications
    )
    assert database.status(OWN_ID)["status"] == "DELETED"
    assert bucket.heads == {}
    assert types(database, OWN_ID).count("tracker.rejected") == 1


@pytest.mark.usefixtures("used")
def test_who_dies_over_a_withdrawal_does_it_when_started_again(tracker, database, bucket, publications):
    bucket.heads[OWN_KEY] = head(V2)
    bucket.delete = away
    with pytest.raises(DependencyUnavailable):
        tracker.handle([brought(V2)], publications)
    del bucket.delete
    assert database.status(OWN_ID)["status"] == "DELETED"
    tracker.handle([spoken(event_factory.done(V2, key=OWN_KEY))], publications)
    assert database.status(OWN_ID)["status"] == "DELETED", "it counts as gone, though it is there"
    tracker.handle([brought(V2)], publications)
    assert bucket.heads == {}
    assert "tracker.rejected" in types(database, OWN_ID)


# --- an operator's order -------------------------------------------------------------------------------------


@pytest.fixture
def failures(tracker, bucket, publications):
    """An image for each of some codes."""
    codes = (ErrorCode.ATTEMPTS_EXHAUSTED, ErrorCode.DECODER_TIMEOUT, ErrorCode.UNREADABLE_IMAGE)
    keys = {code: upload_key(new_image_id()) for code in codes}
    for code, key in keys.items():
        bucket.heads[key] = head()
        tracker.handle([announced(key=key), spoken(event_factory.failed(key=key, code=code))], publications)
    return {code: image_id_of(key) for code, key in keys.items()}


@pytest.fixture
def order(repository, tracker, publications):
    def order(**wishes):
        retrier = Retrier(repository, tracker, publications, Wishes(operator="ada", **wishes))
        *_, report = retrier.run(Event())
        return dict(report.codes)

    return order


def test_an_order_tries_again_what_may_end_otherwise_and_once(database, publications, failures, order):
    assert order(dry_run=True) == {"attempts_exhausted": 1, "decoder_timeout": 1}
    assert publications.bodies == []
    assert order() == {"attempts_exhausted": 1, "decoder_timeout": 1}
    assert order() == {}
    assert len(publications.runs) == 2
    statuses = {code: database.status(image_id)["status"] for code, image_id in failures.items()}
    assert statuses.pop(ErrorCode.UNREADABLE_IMAGE) == "FAILED"
    assert set(statuses.values()) == {"PENDING"}
    [asked] = [f for f in database.timeline(failures["decoder_timeout"]) if f["type"] == "image.retry_requested"]
    assert (asked["recorded_by"], asked["data"]["operator"]) == ("/cli", "ada")


def test_an_order_means_what_it_names(database, failures, order):
    later = datetime.now(UTC) + timedelta(hours=1)
    assert order(since=later) == {}
    meant = order(since=later - timedelta(hours=2), codes=["decoder_timeout"], dry_run=True)
    assert meant == {"decoder_timeout": 1}
    assert order(ids=[failures["attempts_exhausted"]]) == {"attempts_exhausted": 1}
    assert order(codes=["unreadable_image"]) == {}
    assert order(codes=["unreadable_image"], force=True) == {"unreadable_image": 1}
    assert database.status(failures["unreadable_image"])["status"] == "PENDING"


def test_an_order_that_makes_no_sense_is_refused():
    for wishes in ({}, {"operator": ""}, {"operator": "ada", "codes": ["nonsense"]}, {"operator": "ada", "all": 1}):
        with pytest.raises(ValueError, match=r"operator|codes|all"):
            take_retry_orders(None, None, Event())(wishes)
