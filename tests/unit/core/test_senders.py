import uuid
from contextlib import suppress

import pytest

from tests.unit.tracker.event_factory import (
    KEY,
    done,
    dropped,
    expired,
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
MAKERS = (requested, expired, processing, retrying, done, failed, removed, redriven, dropped)
EVENTS = [parse_lifecycle_event(make().body) for make in MAKERS]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type.value)
def test_an_event_is_accepted_from_its_own_service_alone(event):
    [accepted] = accepting(event)
    assert accepted in SENDERS[event.type]


def test_the_gateway_may_publish_that_an_upload_was_aborted():
    event = parse_lifecycle_event(expired().body)
    assert accepting(event) == [TRACKER]
    assert accepting(event.model_copy(update={"source": "/gateway"})) == [GATEWAY]


def accepting(event):
    """Return the users from whom an event is accepted."""
    accepted = []
    for user in USERS:
        with suppress(MalformedEvent):
            check_sender(event, event.type.value, user)
            accepted.append(user)
    return accepted


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type.value)
def test_an_event_with_another_routing_key_is_malformed(event):
    for other in set(EventType) - {event.type}:
        with pytest.raises(MalformedEvent, match="its routing key"):
            check_sender(event, other.value, SENDERS[event.type][0], allow_unnamed=True)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type.value)
def test_an_event_without_a_sender_is_accepted_only_during_an_upgrade(event):
    with pytest.raises(MalformedEvent, match="ACCEPT_UNNAMED_EVENTS"):
        check_sender(event, event.type.value, "")
    check_sender(event, event.type.value, "", allow_unnamed=True)


def test_a_wrong_sender_is_not_accepted_during_an_upgrade_either():
    event = parse_lifecycle_event(done().body)
    with pytest.raises(MalformedEvent, match="'gateway'"):
        check_sender(event, "image.done", GATEWAY, allow_unnamed=True)


def test_a_sender_cannot_name_another_service_as_the_source():
    forged = to_cloud_event(parse_lifecycle_event(requested().body).data, by="thumbnailer")
    with pytest.raises(MalformedEvent, match="/thumbnailer"):
        check_sender(forged, "upload.requested", GATEWAY)


def test_an_event_that_is_never_published_is_accepted_from_no_sender():
    never_published = {EventType.DRIFT_REPAIRED, EventType.OBJECT_REJECTED}
    assert not never_published & SENDERS.keys()
    assert SENDERS.keys() | never_published == set(EventType), "a new type needs its line"


# --- variants in events ----------------------------------------------------------------------------------------

OWN = variant_key(image_id_of(KEY), "ab" * 32, "thumbnail", "1.1", "jpeg")


@pytest.mark.parametrize(
    ("key", "content_type", "error"),
    [
        (OWN, "image/jpeg", ""),
        (OWN, "image/webp", ""),
        (OWN, "text/html", "cannot be"),
        (OWN, "image/svg+xml", "cannot be"),
        (OWN, "image/jpeg; charset=utf-8", "cannot be"),
        (
            variant_key(uuid.UUID(int=1), "ab" * 32, "thumbnail", "1.1", "jpeg"),
            "image/jpeg",
            "does not belong to image",
        ),
        (f"{image_id_of(KEY)}/../{uuid.UUID(int=1)}/a-1/x.jpeg", "image/jpeg", "does not belong to image"),
        (f"{image_id_of(KEY)}/", "image/jpeg", "does not belong to image"),
        ("", "image/jpeg", "does not belong to image"),
    ],
)
def test_a_variant_is_an_image_below_its_own_images_id(key, content_type, error):
    found = find_variant_error(key, content_type, image_id_of(KEY))
    assert error in found
    assert bool(error) == bool(found)


@pytest.mark.parametrize("change", [(b"image/webp", b"text/html"), (str(image_id_of(KEY)).encode() + b"/", b"x/")])
def test_an_event_with_a_foreign_variant_is_malformed(change):
    with pytest.raises(MalformedEvent, match="variant"):
        parse_lifecycle_event(done().body.replace(*change))
