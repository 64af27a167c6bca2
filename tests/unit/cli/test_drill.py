"""The drill's own judgement: what it takes a key to hold, and what it calls a fault."""

import io

import pytest
from PIL import Image

from thumbmill.cli.drill import photos
from thumbmill.cli.drill.history import Content, Slot, Step
from thumbmill.cli.drill.poller import Sight, regressions
from thumbmill.cli.drill.progress_timeout import Patience
from thumbmill.cli.drill.report import complain, overtaken, strangers

ONE, TWO, BAD = Content(1, "a" * 64), Content(2, "b" * 64), Content(3, "c" * 64, bad=True)


def slot(*steps):
    return Slot("s3", key="k", steps=[Step(content, outcome) for content, outcome in steps])


# --- photos ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 77, 2**32 - 1])
@pytest.mark.parametrize(("edge", "quality"), [(256, 60), (128, 40), (96, 80)])
def test_a_photo_s_number_survives_becoming_a_thumbnail(number, edge, quality):
    image = Image.open(io.BytesIO(photos.paint(number)))
    image.thumbnail((edge, edge))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    assert photos.read(file.getvalue()) == number


def test_half_a_photo_has_no_number():
    photo = photos.paint(5)
    assert photos.read(photos.spoil(photo)) is None
    half_grey = Image.open(io.BytesIO(photo))
    half_grey.paste((128, 128, 128), (0, 100, 256, 192))
    file = io.BytesIO()
    half_grey.save(file, "JPEG")
    assert photos.read(file.getvalue()) is None


@pytest.mark.parametrize(
    ("width", "height", "hidden"),
    [(256, 192, False), (171, 128, False), (96, 72, False), (40, 30, True), (100, 100, True), (256, 171, True)],
)
def test_what_is_cut_to_fit_or_tiny_cannot_show_its_number(width, height, hidden):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    assert photos.hides_number(file.getvalue()) == hidden


def test_what_is_no_picture_hides_nothing():
    assert not photos.hides_number(b"nothing")


# --- what a key may hold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "possible"),
    [
        ([], {None}),
        ([(ONE, "acknowledged")], {ONE}),
        ([(ONE, "maybe")], {None, ONE}),
        ([(ONE, "refused")], {None}),
        ([(ONE, "acknowledged"), (TWO, "acknowledged")], {TWO}),
        ([(ONE, "acknowledged"), (TWO, "maybe")], {ONE, TWO}),
        ([(ONE, "acknowledged"), (None, "acknowledged")], {None}),
        ([(ONE, "acknowledged"), (None, "maybe")], {ONE, None}),
    ],
)
def test_an_answer_is_believed_and_doubt_leaves_both(steps, possible):
    assert slot(*steps).possible() == possible


# --- what is a fault -------------------------------------------------------------------------------------------


def row(status, content=ONE, *, damaged=False):
    return {
        "status": status,
        "sha256": content.sha256,
        "error": {"code": "unreadable_image"},
        "damaged": damaged,
    }


@pytest.mark.parametrize(
    ("steps", "found", "fault"),
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
        ([(ONE, "maybe")], None, None),
        ([(ONE, "maybe")], row("DONE"), None),
        ([(ONE, "maybe")], row("PENDING"), "stuck"),
        ([(BAD, "acknowledged")], row("FAILED", BAD), None),
        ([(BAD, "acknowledged")], row("DONE", BAD), "wrong"),
        ([(BAD, "acknowledged")], row("DONE", BAD, damaged=True), None),
        ([(ONE, "acknowledged")], row("DONE", damaged=True), "wrong"),
        ([(ONE, "refused")], None, None),
    ],
)
def test_what_is_said_of_a_key(steps, found, fault):
    complaint = complain(slot(*steps), found)
    assert (complaint[0] if complaint else None) == fault


@pytest.mark.parametrize(
    ("statuses", "faults"),
    [
        ("1 PENDING, 1 PROCESSING, 1 DONE", 0),
        ("1 DONE, 2 PENDING, 2 DONE, 2 DELETED, 3 PENDING", 0),
        ("1 PROCESSING, 1 PENDING", 0),  # nothing final was taken back
        ("1 FAILED, 1 DONE", 0),
        ("1 DONE, 1 PROCESSING", 1),
        ("1 DONE, 1 PENDING, 1 DONE", 1),
        ("1 DELETED, 1 DONE", 1),
        ("2 PENDING, 1 DONE", 1),
        ("1 DONE, 1 FAILED", 1),
    ],
)
def test_a_final_status_is_left_for_a_newer_upload_alone(statuses, faults):
    sights = [Sight(int(number), status) for number, status in (sight.split() for sight in statuses.split(", "))]
    assert len(regressions(sights)) == faults


# --- how long is waited ----------------------------------------------------------------------------------------


def test_what_moves_on_is_waited_for_and_what_stands_still_is_not():
    now = 0.0
    patience = Patience(10, clock=lambda: now)
    for now, left, lasts in [
        (0, 9, True),
        (9, 8, True),
        (18, 8, True),
        (20, 8, False),
        (21, 7, True),
        (30, 12, True),  # more again is no progress
        (31, 8, False),
    ]:
        assert patience.lasts(left) == lasts, now


def test_what_is_left_at_last_may_be_more_than_what_was_left_before_it():
    now = 0.0
    patience = Patience(10, clock=lambda: now)
    for now, images, orphans in [(0, 1, 0), (9, 0, 20), (18, 0, 5)]:
        assert patience.lasts(images, orphans), now
    now = 28.0
    assert not patience.lasts(0, 5)


# --- whose image it is -----------------------------------------------------------------------------------------

TICKET = Slot("ticket", steps=[Step(ONE, "refused")])  # its answer was lost, and the ticket perhaps not
POST = Slot("post", steps=[Step(ONE, "maybe")])


@pytest.mark.parametrize(
    ("slots", "statuses", "strange"),
    [
        ([], {"a": "DONE"}, {"a"}),
        ([slot((ONE, "acknowledged"))], {"a": "DONE"}, {"a"}),  # its client knows it by its key
        ([POST], {"a": "DONE"}, set()),
        ([POST], {"a": "FAILED"}, set()),
        ([POST], {"b": "DONE"}, {"b"}),  # with other bytes
        ([POST], {"a": "AWAITING_UPLOAD"}, {"a"}),
        ([TICKET], {"a": "AWAITING_UPLOAD"}, set()),
        ([TICKET], {"a": "EXPIRED"}, set()),
        ([TICKET], {"a": "AWAITING_UPLOAD", "b": "AWAITING_UPLOAD"}, {"b"}),  # one ticket was asked for
        ([TICKET], {"a": "DONE"}, {"a"}),  # without a form nothing was sent
        ([Slot("ticket", image_id="known")], {"a": "AWAITING_UPLOAD"}, {"a"}),
    ],
)
def test_a_stranger_is_what_no_lost_answer_explains(slots, statuses, strange):
    rows = {image_id: {"status": status} for image_id, status in statuses.items()}
    assert set(strangers(rows, slots, digest=lambda image_id: image_id * 64)) == strange


# --- what was changed while it was in work ---------------------------------------------------------------------


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
def test_what_changes_between_begin_and_end_of_its_processing_was_overtaken(events, count):
    assert overtaken(timeline(*events)) == count
