"""The effects of requests (retries, missing variants, rejected objects): each occurs once, even after a crash."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from tests.integration.postgres.messages import ID, head, lifecycle_message, notification
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY, OWN_KEY, V1, V2
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.message import Message
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.on_demand import retry as retry_module
from thumbmill.tracker.on_demand.repository import MAX_OPEN, RequestRepository, TooManyRequestsError
from thumbmill.tracker.on_demand.request import RequestKind, RequestState
from thumbmill.tracker.on_demand.retry import Retrier, RetryParameters
from thumbmill.tracker.republish import make_upload_body

EXHAUSTED = event_factory.failed(code=ErrorCode.ATTEMPTS_EXHAUSTED)
OWN_ID = image_id_of(OWN_KEY)


def fail(*_, **__):
    raise DependencyUnavailable("rabbitmq")


def types(database, image_id=ID):
    return [event["type"] for event in database.timeline(image_id)]


# --- retries -------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(tracker, bucket, publications):
    bucket.heads[KEY] = head()
    tracker.handle([notification(), lifecycle_message(EXHAUSTED)], publications)


@pytest.mark.usefixtures("failed")
def test_a_retry_is_republished_as_a_run_of_its_own(tracker, database, publications):
    tracker.handle([lifecycle_message(event_factory.retry_requested("2026"))], publications)
    row = database.status(ID)
    assert (row["status"], row["run_id"], row["error"]) == ("PENDING", "2026", None)
    assert publications.runs == ["2026"]
    assert parse_storage_events(publications.bodies[0])[0].object_version == V1
    assert "image.retry_requested" in types(database)


@pytest.mark.usefixtures("failed")
def test_a_second_request_starts_no_second_run(tracker, database, publications):
    requests = [
        lifecycle_message(event_factory.retry_requested("2026-1")),
        lifecycle_message(event_factory.retry_requested("2026-2")),
    ]
    tracker.handle(requests, publications)
    tracker.handle(requests[1:], publications)
    assert publications.runs == ["2026-1"]
    assert types(database).count("image.retry_requested") == 1
    tracker.handle(
        [lifecycle_message(event_factory.failed(run_id="2026-1", code=ErrorCode.ATTEMPTS_EXHAUSTED))], publications
    )
    tracker.handle(requests, publications)
    assert publications.runs == ["2026-1"]
    assert database.status(ID)["status"] == "FAILED"


@pytest.mark.usefixtures("failed")
def test_a_retry_that_could_not_be_published_is_published_later(tracker, publications):
    request = lifecycle_message(event_factory.retry_requested("2026"))
    with pytest.raises(DependencyUnavailable):
        tracker.handle([request], SimpleNamespace(publish=fail))
    tracker.handle([request], publications)
    assert publications.runs == ["2026"]


@pytest.mark.usefixtures("failed")
def test_a_retry_of_a_missing_object_deletes_the_image(tracker, database, bucket, publications):
    del bucket.heads[KEY]
    tracker.handle([lifecycle_message(event_factory.retry_requested("2026"))], publications)
    assert database.status(ID)["status"] == "DELETED"
    assert parse_storage_events(publications.bodies[0])[0].is_removal


# --- missing variants ----------------------------------------------------------------------------------------


@pytest.fixture
def done(tracker, bucket, publications):
    bucket.heads[KEY] = head()
    event = event_factory.done()
    tracker.handle([notification(), lifecycle_message(event)], publications)
    return event.payload.variants[0].key


def test_a_missing_variant_is_generated_once(tracker, database, bucket, publications, done):
    bucket.lost = {done}
    tracker.handle([lifecycle_message(event_factory.missed(done))], publications)
    row = database.status(ID)
    assert (row["status"], row["missing"]) == ("DONE", [done])
    [run_id] = publications.runs
    tracker.handle([lifecycle_message(event_factory.missed(done, run_id="2027"))], publications)
    assert publications.runs == [run_id], "not twice in a minute"
    tracker.handle([lifecycle_message(event_factory.done(run_id=run_id))], publications)
    assert database.status(ID)["missing"] == []


def test_a_report_alone_generates_nothing(tracker, database, bucket, publications, done):
    bucket.lost = {"another/image's"}
    for keys in ([done], ["another/image's"], []):
        tracker.handle([lifecycle_message(event_factory.missed(*keys))], publications)
    tracker.handle([lifecycle_message(event_factory.missed(done, object_version=V2))], publications)
    tracker.handle([lifecycle_message(event_factory.missed(done, key="no such image"))], publications)
    assert publications.bodies == []
    assert database.status(ID)["missing"] == []


def test_a_report_about_a_missing_original_deletes_the_image(tracker, database, bucket, publications, done):
    bucket.heads.clear()
    bucket.lost = {done}
    tracker.handle([lifecycle_message(event_factory.missed())], publications)
    assert database.status(ID)["status"] == "DELETED"
    assert parse_storage_events(publications.bodies[0])[0].is_removal


# --- forms ---------------------------------------------------------------------------------------------------


def form_notification(object_version, target="immediate"):
    body = make_upload_body(OWN_KEY, head(object_version)).replace(b"ObjectCreated:Put", b"ObjectCreated:Post")
    return Message(body, target, "application/json")


@pytest.fixture
def used(tracker, bucket, publications):
    bucket.heads[OWN_KEY] = head()
    tracker.handle([lifecycle_message(event_factory.requested(key=OWN_KEY)), form_notification(V1)], publications)
    assert bucket.heads


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("deleted", [False, True])
def test_a_rejected_object_is_deleted_and_recorded(tracker, database, bucket, publications, deleted):
    if deleted:
        bucket.heads.clear()
        tracker.handle([lifecycle_message(event_factory.removed(key=OWN_KEY))], publications)
    bucket.heads[OWN_KEY] = head(V2)
    tracker.handle(
        [
            form_notification(V2),
            lifecycle_message(event_factory.processing(V2, key=OWN_KEY)),
            form_notification(V2, "durable"),
        ],
        publications,
    )
    assert database.status(OWN_ID)["status"] == "DELETED"
    assert bucket.heads == {}
    assert types(database, OWN_ID).count("tracker.rejected") == 1


@pytest.mark.usefixtures("used")
def test_a_rejected_object_is_deleted_after_a_restart(tracker, database, bucket, publications):
    bucket.heads[OWN_KEY] = head(V2)
    bucket.delete = fail
    with pytest.raises(DependencyUnavailable):
        tracker.handle([form_notification(V2)], publications)
    del bucket.delete
    assert database.status(OWN_ID)["status"] == "DELETED"
    tracker.handle([lifecycle_message(event_factory.done(V2, key=OWN_KEY))], publications)
    assert database.status(OWN_ID)["status"] == "DELETED", "it counts as missing, though it is there"
    tracker.handle([form_notification(V2)], publications)
    assert bucket.heads == {}
    assert "tracker.rejected" in types(database, OWN_ID)


# --- an operator's retry -------------------------------------------------------------------------------------


@pytest.fixture
def failures(tracker, bucket, publications):
    """An image for each of some codes."""
    codes = (ErrorCode.ATTEMPTS_EXHAUSTED, ErrorCode.DECODER_TIMEOUT, ErrorCode.UNREADABLE_IMAGE)
    keys = {code: upload_key(new_image_id()) for code in codes}
    for code, key in keys.items():
        bucket.heads[key] = head()
        tracker.handle(
            [notification(key=key), lifecycle_message(event_factory.failed(key=key, code=code))], publications
        )
    return {code: image_id_of(key) for code, key in keys.items()}


@pytest.fixture
def retry(repository, tracker, publications):
    def retry(**parameters):
        requests = RequestRepository(repository)
        dry_run = parameters.pop("dry_run", False)
        stored = RetryParameters(operator="ada", **parameters).model_dump(
            mode="json", exclude={"operator", "dry_run"}
        )
        request = requests.add(RequestKind.RETRY, stored, dry_run=dry_run, requested_by="ada")
        Retrier(repository, tracker, publications, Event()).run_once()
        request = requests.find(RequestKind.RETRY, request.id)
        assert (request.state, request.error) == (RequestState.DONE, "")
        return request.progress.report["codes"]

    return retry


def test_a_retry_is_for_failures_that_may_pass_and_happens_once(database, publications, failures, retry):
    assert retry(dry_run=True) == {"attempts_exhausted": 1, "decoder_timeout": 1}
    assert publications.bodies == []
    assert retry() == {"attempts_exhausted": 1, "decoder_timeout": 1}
    assert retry() == {}
    assert len(publications.runs) == 2
    statuses = {code: database.status(image_id)["status"] for code, image_id in failures.items()}
    assert statuses.pop(ErrorCode.UNREADABLE_IMAGE) == "FAILED"
    assert set(statuses.values()) == {"PENDING"}
    timeline = database.timeline(failures["decoder_timeout"])
    [requested] = [event for event in timeline if event["type"] == "image.retry_requested"]
    assert (requested["recorded_by"], requested["data"]["operator"]) == ("/cli", "ada")


def test_a_retry_is_for_the_images_that_its_filters_match(database, failures, retry):
    later = datetime.now(UTC) + timedelta(hours=1)
    assert retry(since=later) == {}
    matching = retry(since=later - timedelta(hours=2), codes=["decoder_timeout"], dry_run=True)
    assert matching == {"decoder_timeout": 1}
    assert retry(ids=[failures["attempts_exhausted"]]) == {"attempts_exhausted": 1}
    assert retry(codes=["unreadable_image"]) == {}
    assert retry(codes=["unreadable_image"], force=True) == {"unreadable_image": 1}
    assert database.status(failures["unreadable_image"])["status"] == "PENDING"


def test_a_retry_that_a_dead_tracker_left_continues(repository, tracker, publications, failures, monkeypatch):
    monkeypatch.setattr(retry_module, "PAGE", 1)
    requests = RequestRepository(repository)
    request = requests.add(RequestKind.RETRY, {}, dry_run=False, requested_by="ada")
    retrier = Retrier(repository, tracker, publications, Event())
    requests.save(request.id, next(retrier.execute(requests.start_next(RequestKind.RETRY))))
    assert len(publications.runs) == 1

    retrier.run_once()
    done = requests.find(RequestKind.RETRY)
    assert (done.id, done.state) == (request.id, RequestState.DONE)
    assert done.progress.report["found"] == 2
    assert len(publications.runs) == 2


def test_while_another_tracker_retries_a_request_waits(repository, database, tracker, publications, failures):
    requests = RequestRepository(repository)
    requests.add(RequestKind.RETRY, {}, dry_run=False, requested_by="ada")
    with (
        closing(Repository(SecretStr(database.tracker), "another")) as another,
        another.advisory_lock(retry_module.LOCK) as locked,
    ):
        assert locked
        Retrier(repository, tracker, publications, Event()).run_once()
    assert requests.find(RequestKind.RETRY).state is RequestState.WAITING
    assert publications.runs == []


def test_open_requests_are_bounded_and_old_ones_go(repository, database):
    requests = RequestRepository(repository)

    def add():
        return requests.add(RequestKind.RECONCILIATION, {}, dry_run=False, requested_by="ada")

    first, *_ = [add() for _ in range(MAX_OPEN)]
    with pytest.raises(TooManyRequestsError):
        add()
    assert requests.cancel(first.kind, first.id).state is RequestState.CANCELLED
    assert requests.cancel(first.kind, first.id).state is RequestState.CANCELLED, "twice is once"
    assert requests.cancel(first.kind, 2**40) is None
    database.ask("UPDATE operator_requests SET updated_at = now() - interval '31 days' WHERE id = %s", [first.id])
    assert add().state is RequestState.WAITING
    assert requests.find(first.kind, first.id) is None
