"""The loss drill's pure checks: what a key may contain, and what counts as an error."""

import io

import httpx
import pytest
from PIL import Image

from thumbmill.cli.drill import fingerprint_image
from thumbmill.cli.drill.clients import post_image
from thumbmill.cli.drill.history import Content, Operation, TrackedKey
from thumbmill.cli.drill.poller import Observation, regressions
from thumbmill.cli.drill.progress_timeout import ProgressTimeout
from thumbmill.cli.drill.report import check_key, doubled_uploads, overtaken, unannounced, unexpected_images
from thumbmill.cli.drill.watcher import StreamEvent, Watcher, read_events

ONE, TWO, BAD = Content(1, "a" * 64), Content(2, "b" * 64), Content(3, "c" * 64, bad=True)


def tracked(*operations):
    return TrackedKey("s3", key="k", operations=[Operation(content, outcome) for content, outcome in operations])


# --- fingerprint images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 77, 2**32 - 1])
@pytest.mark.parametrize(("edge", "quality"), [(256, 60), (128, 40), (96, 80)])
def test_the_number_can_be_read_off_a_thumbnail(number, edge, quality):
    image = Image.open(io.BytesIO(fingerprint_image.render(number)))
    image.thumbnail((edge, edge))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    assert fingerprint_image.read_number(file.getvalue()) == number


def test_half_an_image_has_no_number():
    image = fingerprint_image.render(5)
    assert fingerprint_image.read_number(fingerprint_image.truncate(image)) is None
    half_grey = Image.open(io.BytesIO(image))
    half_grey.paste((128, 128, 128), (0, 100, 256, 192))
    file = io.BytesIO()
    half_grey.save(file, "JPEG")
    assert fingerprint_image.read_number(file.getvalue()) is None


@pytest.mark.parametrize(
    ("width", "height", "hidden"),
    [(256, 192, False), (171, 128, False), (96, 72, False), (40, 30, True), (100, 100, True), (256, 171, True)],
)
def test_a_cropped_or_tiny_image_cannot_show_its_number(width, height, hidden):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    assert fingerprint_image.cannot_show_number(file.getvalue()) == hidden


def test_other_data_does_not_count_as_an_image_that_cannot_show_its_number():
    assert not fingerprint_image.cannot_show_number(b"nothing")


# --- what a key may contain ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operations", "possible"),
    [
        ([], {None}),
        ([(ONE, "acknowledged")], {ONE}),
        ([(ONE, "unknown")], {None, ONE}),
        ([(ONE, "refused")], {None}),
        ([(ONE, "acknowledged"), (TWO, "acknowledged")], {TWO}),
        ([(ONE, "acknowledged"), (TWO, "unknown")], {ONE, TWO}),
        ([(ONE, "acknowledged"), (None, "acknowledged")], {None}),
        ([(ONE, "acknowledged"), (None, "unknown")], {ONE, None}),
    ],
)
def test_an_unknown_outcome_leaves_both_contents_possible(operations, possible):
    assert tracked(*operations).possible_contents() == possible


# --- what counts as an error -----------------------------------------------------------------------------------


def row(status, content=ONE, *, damaged=False):
    return {
        "status": status,
        "sha256": content.sha256,
        "error": {"code": "unreadable_image"},
        "damaged": damaged,
    }


@pytest.mark.parametrize(
    ("operations", "found", "count"),
    [
        ([(ONE, "acknowledged")], row("DONE"), None),
        ([(ONE, "acknowledged")], None, "lost"),
        ([(ONE, "acknowledged")], row("DELETED"), "lost"),
        ([(ONE, "acknowledged")], row("AWAITING_UPLOAD"), "lost"),
        ([(ONE, "acknowledged")], row("PENDING"), "stuck"),
        ([(ONE, "acknowledged")], row("PROCESSING"), "stuck"),
        ([(ONE, "acknowledged")], row("FAILED"), "wrong"),
        ([(ONE, "acknowledged"), (TWO, "acknowledged")], row("DONE", ONE), "wrong"),
        ([(ONE, "acknowledged"), (TWO, "acknowledged")], row("DONE", TWO), None),
        ([(ONE, "acknowledged"), (None, "acknowledged")], row("DONE"), "wrong"),
        ([(ONE, "acknowledged"), (None, "acknowledged")], row("DELETED"), None),
        ([(ONE, "unknown")], None, None),
        ([(ONE, "unknown")], row("DONE"), None),
        ([(ONE, "unknown")], row("PENDING"), "stuck"),
        ([(BAD, "acknowledged")], row("FAILED", BAD), None),
        ([(BAD, "acknowledged")], row("DONE", BAD), "wrong"),
        ([(BAD, "acknowledged")], row("DONE", BAD, damaged=True), None),
        ([(ONE, "acknowledged")], row("DONE", damaged=True), "wrong"),
        ([(ONE, "refused")], None, None),
    ],
)
def test_the_status_of_a_key_is_checked(operations, found, count):
    error = check_key(tracked(*operations), found)
    assert (error[0] if error else None) == count


@pytest.mark.parametrize(
    ("statuses", "steps_back"),
    [
        ("1 PENDING, 1 PROCESSING, 1 DONE", 0),
        ("1 DONE, 2 PENDING, 2 DONE, 2 DELETED, 3 PENDING", 0),
        ("1 PROCESSING, 1 PENDING", 0),  # no final state was left
        ("1 FAILED, 1 DONE", 0),
        ("1 DONE, 1 PROCESSING", 1),
        ("1 DONE, 1 PENDING, 1 DONE", 1),
        ("1 DELETED, 1 DONE", 1),
        ("2 PENDING, 1 DONE", 1),
        ("1 DONE, 1 FAILED", 1),
    ],
)
def test_only_a_newer_upload_leaves_a_final_status(statuses, steps_back):
    observations = [
        Observation(int(number), status)
        for number, status in (observation.split() for observation in statuses.split(", "))
    ]
    assert len(regressions(observations)) == steps_back


# --- the timeout -----------------------------------------------------------------------------------------------


def test_progress_restarts_the_timeout():
    now = 0.0
    timeout = ProgressTimeout(10, clock=lambda: now)
    for now, left, lasts in [
        (0, 9, True),
        (9, 8, True),
        (18, 8, True),
        (20, 8, False),
        (21, 7, True),
        (30, 12, True),  # an increase is not progress
        (31, 8, False),
    ]:
        assert timeout.has_time_left(left) == lasts, now


def test_fewer_images_are_progress_even_with_more_orphans():
    now = 0.0
    timeout = ProgressTimeout(10, clock=lambda: now)
    for now, images, orphans in [(0, 1, 0), (9, 0, 20), (18, 0, 5)]:
        assert timeout.has_time_left(images, orphans), now
    now = 28.0
    assert not timeout.has_time_left(0, 5)


# --- unexpected images -----------------------------------------------------------------------------------------

TICKET = TrackedKey(
    "ticket", operations=[Operation(ONE, "refused")]
)  # its response was lost, but the ticket may exist
POST = TrackedKey("post", operations=[Operation(ONE, "unknown")])


@pytest.mark.parametrize(
    ("tracked_keys", "statuses", "unexpected"),
    [
        ([], {"a": "DONE"}, {"a"}),
        ([tracked((ONE, "acknowledged"))], {"a": "DONE"}, {"a"}),  # the client knows its key
        ([POST], {"a": "DONE"}, set()),
        ([POST], {"a": "FAILED"}, set()),
        ([POST], {"b": "DONE"}, {"b"}),  # other bytes
        ([POST], {"a": "AWAITING_UPLOAD"}, {"a"}),
        ([TICKET], {"a": "AWAITING_UPLOAD"}, set()),
        ([TICKET], {"a": "EXPIRED"}, set()),
        ([TICKET], {"a": "AWAITING_UPLOAD", "b": "AWAITING_UPLOAD"}, {"b"}),  # one ticket was asked for
        ([TICKET], {"a": "DONE"}, {"a"}),  # without a form nothing was uploaded
        ([TrackedKey("ticket", image_id="known")], {"a": "AWAITING_UPLOAD"}, {"a"}),
    ],
)
def test_an_image_is_unexpected_unless_a_lost_response_explains_it(tracked_keys, statuses, unexpected):
    rows = {image_id: {"status": status} for image_id, status in statuses.items()}
    assert set(unexpected_images(rows, tracked_keys, digest=lambda image_id: image_id * 64)) == unexpected


@pytest.mark.parametrize(
    ("digests", "tracked", "doubled"),
    [
        ({"a": "1"}, {"1"}, ["a"]),  # the upload has an image of its own
        ({"a": "1"}, {"2"}, []),
        ({"a": "1", "b": "1"}, set(), ["b"]),  # both responses were lost
        ({"a": None, "b": None}, {"1"}, []),  # deleted meanwhile
    ],
)
def test_an_upload_is_doubled_if_two_images_have_its_bytes(digests, tracked, doubled):
    assert doubled_uploads(digests, tracked) == doubled


def test_an_upload_of_unknown_outcome_is_repeated_with_its_key():
    responses, requests = [httpx.ConnectError("lost"), 503, 202], []

    def respond(request):
        requests.append(request)
        answer = responses.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={"id": "an id"})

    tracked, waits = TrackedKey("post"), []
    with httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(respond)) as http:
        assert post_image(http, tracked, b"image", waits.append) == "acknowledged"
        assert (tracked.image_id, waits) == ("an id", [1, 2])
        responses = [503, 400, 400, 400, 400]
        assert post_image(http, tracked, b"image", waits.append) == "unknown"  # the first may have stored it
        responses = [400]
        assert post_image(http, tracked, b"image", waits.append) == "refused"
    assert {request.headers["idempotency-key"] for request in requests} == {tracked.idempotency_key}


# --- overtaken images ------------------------------------------------------------------------------------------


def timeline(*events):
    return [
        {"type": kind, "object_version": object_version, "occurred": f"2026-11-22T08:00:{second:02}Z"}
        for second, kind, object_version in events
    ]


PUT, REMOVED = "storage.ObjectCreated:Put", "storage.ObjectRemoved:Delete"


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ([(1, PUT, "a"), (2, "image.processing", "a"), (4, "image.done", "a")], 0),
        ([(1, PUT, "a"), (2, "image.processing", "a"), (3, PUT, "b"), (4, "image.done", "a")], 1),
        ([(1, PUT, "a"), (2, "image.processing", "a"), (3, REMOVED, None)], 1),
        ([(1, PUT, "a"), (2, "image.processing", "a"), (4, "image.done", "a"), (5, PUT, "b")], 0),
        ([(1, PUT, "a"), (2, PUT, "b"), (3, "image.processing", "b"), (4, "image.done", "b")], 0),
        ([(2, "image.processing", "a"), (3, PUT, "b"), (3, PUT, "b"), (4, "image.processing", "a")], 1),
    ],
)
def test_an_object_that_changes_during_its_processing_was_overtaken(events, count):
    assert overtaken(timeline(*events)) == count


# --- what the stream delivers ----------------------------------------------------------------------------------


def change(event_id, image_id="a"):
    return StreamEvent("image.done", event_id, f'{{"data": {{"id": "{image_id}"}}}}')


@pytest.mark.parametrize(
    ("last_id", "event_id", "is_missing"),
    [("e-7", "e-7", False), ("e-8", "e-7", False), ("e-6", "e-7", True), (None, "e-1", True), (None, None, False)],
)
def test_an_image_whose_last_change_was_not_delivered_is_unannounced(last_id, event_id, is_missing):
    row = {"id": "a", "status": "DONE", "event_id": event_id}
    assert bool(unannounced(row, last_id)) == is_missing


def test_the_watcher_sees_what_is_delivered_twice_out_of_order_or_not_at_all():
    watcher = Watcher(access=None)
    watcher.handle(StreamEvent("hello", "e-4", "{}"))
    for event in (change("e-5"), change("e-6", "b"), StreamEvent("heartbeat", "e-9", "{}"), change("e-10")):
        watcher.handle(event)
    assert (watcher.last_ids, watcher.errors) == ({"a": "e-10", "b": "e-6"}, [])
    watcher.handle(change("e-10"))
    watcher.handle(change("e-8"))
    watcher.handle(StreamEvent("reset", "e-8", "why"))
    assert watcher.errors == ["e-10 came after e-10", "e-8 came after e-10", "the stream was reset: why"]


def test_an_event_that_was_cut_does_not_count():
    lines = ["event: image.done", "data: {}", "id: e-1", "", "event: image.done", "data: {}"]
    assert list(read_events(lines)) == [StreamEvent("image.done", "e-1", "{}")]
