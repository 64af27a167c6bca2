import uuid

import pytest

from pipeline.authors import AUTHORS, GATEWAY, OPERATOR, THUMBNAILER, TRACKER, check_author
from pipeline.events import Kind, parse_lifecycle_event, say
from pipeline.identity import image_id_of, variant_key
from pipeline.outcomes import NotAnEvent
from pipeline.variants import find_variant_fault
from unit.status_tracker.saying import (
    KEY,
    done,
    dropped,
    failed,
    processing,
    redriven,
    removed,
    requested,
    retrying,
)

USERS = (GATEWAY, THUMBNAILER, TRACKER, OPERATOR, "minio", "admin")
EVENTS = [
    parse_lifecycle_event(fact.body)
    for fact in (requested(), processing(), retrying(), done(), failed(), removed(), redriven(), dropped())
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind.value)
def test_a_fact_is_believed_of_its_own_service_alone(event):
    believed = []
    for user in USERS:
        try:
            check_author(event, event.kind.value, user)
            believed.append(user)
        except NotAnEvent:
            pass
    assert believed == list(AUTHORS[event.kind])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind.value)
def test_a_fact_that_is_published_as_another_is_none(event):
    for kind in set(Kind) - {event.kind}:
        with pytest.raises(NotAnEvent, match="published as"):
            check_author(event, kind.value, AUTHORS[event.kind][0], allow_unnamed=True)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind.value)
def test_who_names_no_author_is_believed_only_during_an_upgrade(event):
    with pytest.raises(NotAnEvent, match="ACCEPT_UNNAMED_EVENTS"):
        check_author(event, event.kind.value, "")
    check_author(event, event.kind.value, "", allow_unnamed=True)


def test_a_wrong_author_is_not_believed_during_an_upgrade_either():
    event = parse_lifecycle_event(done().body)
    with pytest.raises(NotAnEvent, match="'gateway'"):
        check_author(event, "image.done", GATEWAY, allow_unnamed=True)


def test_nobody_signs_with_another_services_name():
    lying = say(parse_lifecycle_event(requested().body).data, by="thumbnailer")
    with pytest.raises(NotAnEvent, match="/thumbnailer"):
        check_author(lying, "upload.requested", GATEWAY)


def test_what_is_never_published_is_believed_of_nobody():
    written_alone = {Kind.HEALED, Kind.WITHDRAWN}
    assert not written_alone & AUTHORS.keys()
    assert AUTHORS.keys() | written_alone == set(Kind), "a new kind needs its line"


# --- what a fact may show ------------------------------------------------------------------------------------

OWN = variant_key(image_id_of(KEY), "ab" * 32, "thumbnail", "1.1", "jpeg")


@pytest.mark.parametrize(
    ("key", "content_type", "fault"),
    [
        (OWN, "image/jpeg", ""),
        (OWN, "image/webp", ""),
        (OWN, "text/html", "cannot be"),
        (OWN, "image/svg+xml", "cannot be"),
        (OWN, "image/jpeg; charset=utf-8", "cannot be"),
        (variant_key(uuid.UUID(int=1), "ab" * 32, "thumbnail", "1.1", "jpeg"), "image/jpeg", "none of image"),
        (f"{image_id_of(KEY)}/../{uuid.UUID(int=1)}/a-1/x.jpeg", "image/jpeg", "none of image"),
        (f"{image_id_of(KEY)}/", "image/jpeg", "none of image"),
        ("", "image/jpeg", "none of image"),
    ],
)
def test_a_variant_is_a_picture_below_its_own_images_id(key, content_type, fault):
    found = find_variant_fault(key, content_type, image_id_of(KEY))
    assert fault in found
    assert bool(fault) == bool(found)


@pytest.mark.parametrize("change", [(b"image/webp", b"text/html"), (str(image_id_of(KEY)).encode() + b"/", b"x/")])
def test_a_fact_with_another_variant_is_no_event(change):
    with pytest.raises(NotAnEvent, match="variant"):
        parse_lifecycle_event(done().body.replace(*change))
