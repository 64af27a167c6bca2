import uuid

import pytest

from tests.unit.tracker.event_factory import (
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
from thumbmill.core.contracts.cloud_event import parse_lifecycle_event, to_cloud_event
from thumbmill.core.contracts.events import EventType
from thumbmill.core.contracts.identity import image_id_of, variant_key
from thumbmill.core.contracts.senders import GATEWAY, OPERATOR, SENDERS, THUMBNAILER, TRACKER, check_sender
from thumbmill.core.contracts.variants import find_variant_error
from thumbmill.core.errors import MalformedEvent

USERS = (GATEWAY, THUMBNAILER, TRACKER, OPERATOR, "minio", "admin")
EVENTS = [
    parse_lifecycle_event(fact.body)
    for fact in (requested(), processing(), retrying(), done(), failed(), removed(), redriven(), dropped())
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type.value)
def test_a_fact_is_believed_of_its_own_service_alone(event):
    believed = []
    for user in USERS:
        try:
            check_sender(event, event.type.value, user)
            believed.append(user)
        except MalformedEvent:
            pass
    assert believed == list(SENDERS[event.type])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type.value)
def test_a_fact_that_is_published_as_another_is_none(event):
    for kind in set(EventType) - {event.type}:
        with pytest.raises(MalformedEvent, match="published as"):
            check_sender(event, kind.value, SENDERS[event.type][0], allow_unnamed=True)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type.value)
def test_who_names_no_author_is_believed_only_during_an_upgrade(event):
    with pytest.raises(MalformedEvent, match="ACCEPT_UNNAMED_EVENTS"):
        check_sender(event, event.type.value, "")
    check_sender(event, event.type.value, "", allow_unnamed=True)


def test_a_wrong_author_is_not_believed_during_an_upgrade_either():
    event = parse_lifecycle_event(done().body)
    with pytest.raises(MalformedEvent, match="'gateway'"):
        check_sender(event, "image.done", GATEWAY, allow_unnamed=True)


def test_nobody_signs_with_another_services_name():
    lying = to_cloud_event(parse_lifecycle_event(requested().body).data, by="thumbnailer")
    with pytest.raises(MalformedEvent, match="/thumbnailer"):
        check_sender(lying, "upload.requested", GATEWAY)


def test_what_is_never_published_is_believed_of_nobody():
    written_alone = {EventType.DRIFT_REPAIRED, EventType.OBJECT_REJECTED}
    assert not written_alone & SENDERS.keys()
    assert SENDERS.keys() | written_alone == set(EventType), "a new kind needs its line"


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
    found = find_variant_error(key, content_type, image_id_of(KEY))
    assert fault in found
    assert bool(fault) == bool(found)


@pytest.mark.parametrize("change", [(b"image/webp", b"text/html"), (str(image_id_of(KEY)).encode() + b"/", b"x/")])
def test_a_fact_with_another_variant_is_no_event(change):
    with pytest.raises(MalformedEvent, match="variant"):
        parse_lifecycle_event(done().body.replace(*change))
