"""Messages that the tracker receives in these tests, from the bucket and the services."""

from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY, V1
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.contracts.system_events import Watermark
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import LIFECYCLE
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.tracker.republish import make_removal_body, make_upload_body

ID = image_id_of(KEY)


def head(object_version=V1, **metadata):
    return ObjectMetadata(object_version, object_version.etag, "image/jpeg", metadata)


def notification(object_version=V1, target="immediate", key=KEY):
    return Message(make_upload_body(key, head(object_version)), target, "application/json")


REMOVAL = make_removal_body(KEY)  # once, since it is named after its moment


def removal_message(target="immediate", key=KEY):
    body = REMOVAL if key == KEY else make_removal_body(key)
    return Message(body, target, "application/json")


def lifecycle_message(event):
    sender = {"/cli": "operator"}.get(event.recorded_by, event.recorded_by[1:])
    return Message(event.body, event.type, CONTENT_TYPE, exchange=LIFECYCLE, sender=sender)


def watermark_message(at):
    body = to_cloud_event(Watermark(), by="status-tracker", now=at).to_json()
    return Message(body, "tracker.watermark", CONTENT_TYPE, exchange=LIFECYCLE, sender="status-tracker")


def record_processed_images(tracker, publications):
    """Record an image that is PROCESSING, one that is DONE and one that is FAILED."""
    keys = [upload_key(new_image_id()) for _ in range(3)]
    events = [
        event_factory.processing(key=keys[0]),
        event_factory.done(key=keys[1]),
        event_factory.failed(key=keys[2]),
    ]
    tracker.handle([*(notification(key=key) for key in keys), *map(lifecycle_message, events)], publications)
