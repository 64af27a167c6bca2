"""What the tracker is told in these tests, by the bucket and by the services."""

from tests.unit.tracker.event_factory import KEY, V1
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.events import Watermark
from thumbmill.core.contracts.identity import image_id_of
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import LIFECYCLE
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.tracker.republish import make_removal_body, make_upload_body

ID = image_id_of(KEY)


def head(object_version=V1, **metadata):
    return ObjectMetadata(object_version, object_version.etag, "image/jpeg", metadata)


def announced(object_version=V1, target="immediate", key=KEY):
    return Message(make_upload_body(key, head(object_version)), target, "application/json")


REMOVAL = make_removal_body(KEY)  # once, since it is named after its moment


def rejected_version(target="immediate"):
    return Message(REMOVAL, target, "application/json")


def spoken(fact):
    author = {"/cli": "operator"}.get(fact.recorded_by, fact.recorded_by[1:])
    return Message(fact.body, fact.type, CONTENT_TYPE, exchange=LIFECYCLE, sender=author)


def mark(at):
    body = to_cloud_event(Watermark(), by="status-tracker", now=at).to_json()
    return Message(body, "tracker.watermark", CONTENT_TYPE, exchange=LIFECYCLE, sender="status-tracker")
