"""What operators order: redrives and runs, as the gateway reads them."""

import uuid
from datetime import UTC, datetime
from threading import Event

from tests.integration.postgres.messages import (
    lifecycle_message,
    removal_message,
)
from tests.integration.postgres.operators import EXHAUSTED, UNREADABLE, ask, fail, system_message
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.identity import image_id_of
from thumbmill.core.contracts.system_events import ReconciliationRequested, RedriveRequested
from thumbmill.gateway.operations.repository import Scope
from thumbmill.tracker.on_demand.repository import MAX_OPEN, RequestRepository
from thumbmill.tracker.on_demand.request import RequestKind
from thumbmill.tracker.on_demand.retry import Retrier
from thumbmill.tracker.reconciliation.drift import DriftKind
from thumbmill.tracker.reconciliation.runs import RunRepository


def redrive_order(**values):
    return RedriveRequested(**{"operator": "API key 1", "until": datetime.now(UTC), "codes": [EXHAUSTED]} | values)


def test_an_order_that_comes_twice_is_one_request(database, tracker, publications):
    message = system_message(ReconciliationRequested(operator="API key 1", dry_run=True), "gateway")
    for _ in range(2):
        tracker.handle([message], publications)
    [row] = ask(database, lambda views: views.reconciliations())
    assert (row.state, row.dry_run, row.requested_by, row.objects) == ("waiting", True, "API key 1", 0)
    assert str(row.id) in message.body.decode()


def test_an_order_too_many_has_failed_with_the_reason(database, tracker, publications):
    orders = [system_message(redrive_order(), "gateway") for _ in range(MAX_OPEN + 1)]
    tracker.handle(orders, publications)
    rows = ask(database, lambda views: views.redrives())
    assert sorted(row.state for row in rows) == ["failed", *["waiting"] * MAX_OPEN]
    assert [str(MAX_OPEN) in row.error for row in rows if row.state == "failed"] == [True]


def test_a_redrive_does_what_was_counted_and_shows_each_image(database, repository, tracker, publications, bucket):
    keys = [fail(tracker, publications, bucket) for _ in range(3)]
    unreadable = fail(tracker, publications, bucket, UNREADABLE)
    until = ask(database, lambda views: views.now())
    scope = Scope(until, [EXHAUSTED.value, UNREADABLE.value])
    assert ask(database, lambda views: views.count_failed(scope)) == {
        "attempts_exhausted": 3,
        "unreadable_image": 1,
    }
    late = fail(tracker, publications, bucket)

    tracker.handle(
        [system_message(redrive_order(codes=[EXHAUSTED, UNREADABLE], until=until), "gateway")], publications
    )
    Retrier(repository, tracker, publications, Event()).run_once()

    [row] = ask(database, lambda views: views.redrives())
    assert (row.state, row.redriven, row.in_progress, row.done) == ("done", 3, 3, 0)
    assert len(publications.bodies) == 3
    assert [database.status(image_id_of(key))["status"] for key in (unreadable, late)] == ["FAILED"] * 2

    done = event_factory.done(key=keys[0], run_id=run_of(database, keys[0]))
    failed = event_factory.failed(key=keys[1], run_id=run_of(database, keys[1]))
    del bucket.heads[keys[2]]
    tracker.handle([lifecycle_message(done), lifecycle_message(failed), removal_message(key=keys[2])], publications)
    [row] = ask(database, lambda views: views.redrives())
    assert (row.redriven, row.done, row.failed, row.superseded, row.in_progress) == (3, 1, 1, 1, 0)
    images = {one.image_id: one for one in ask(database, lambda views: views.redriven_images(row.id))}
    assert {image_id_of(key): images[image_id_of(key)].result for key in keys} == {
        image_id_of(keys[0]): "done",
        image_id_of(keys[1]): "failed",
        image_id_of(keys[2]): "superseded",
    }
    [event] = [e for e in database.timeline(image_id_of(keys[0])) if e["type"] == "image.retry_requested"]
    assert (event["data"]["operator"], event["recorded_by"]) == ("API key 1", "/gateway")


def run_of(database, key):
    return database.status(image_id_of(key))["run_id"]


# --- runs of reconciliation -------------------------------------------------------------------------------


def test_a_pass_adds_up_and_the_next_one_is_another(database, repository):
    runs = RunRepository(repository)
    first = runs.open_pass()
    runs.save_pass(first, 10, {DriftKind.MISSED: 2}, ended=False)
    assert runs.open_pass() == first, "it continues after a restart"
    runs.save_pass(first, 5, {DriftKind.MISSED: 1, DriftKind.STUCK: 1}, ended=True)
    second = runs.open_pass()
    newest, oldest = ask(database, lambda views: views.reconciliations())
    assert (newest.id, newest.state, newest.objects) == (second, "running", 0)
    assert (oldest.id, oldest.state, oldest.objects, oldest.found) == (first, "done", 15, {"missed": 3, "stuck": 1})
    assert ask(database, lambda views: views.expected_objects()) == 15


def test_a_run_lists_its_images_and_no_more_than_it_may(database, repository, monkeypatch):
    monkeypatch.setattr("thumbmill.tracker.reconciliation.runs.MAX_IMAGES", 2)
    runs = RunRepository(repository)
    run_id, images = uuid.uuid4(), [uuid.uuid4() for _ in range(3)]
    for image_id in (images[0], *images):
        runs.add_image(run_id, DriftKind.MISSED, image_id, repaired=True)
    rows = ask(database, lambda views: views.reconciled_images(run_id))
    assert [(row.image_id, row.drift, row.repaired, row.status) for row in rows] == [
        (image_id, "missed", True, None) for image_id in images[:2]
    ]


def test_requests_by_the_admin_port_are_listed_with_those_of_the_api(database, repository):
    requests = RequestRepository(repository)
    parameters = {"codes": [], "ids": [], "since": "2026-11-29T00:00:00+00:00", "until": None, "force": True}
    request = requests.add(RequestKind.RETRY, parameters, dry_run=True, requested_by="ada")
    [row] = ask(database, lambda views: views.redrives())
    assert (row.id, row.requested_by, row.dry_run, row.parameters) == (request.event_id, "ada", True, parameters)
