"""What the tracker is told in these tests, by the bucket and by the services."""

from pipeline.events import CONTENT_TYPE, Watermark, say
from pipeline.identity import image_id_of
from pipeline.messages import Message
from pipeline.storage import Head
from pipeline.topology import LIFECYCLE
from status_tracker.recovery import removal_body, upload_body
from unit.status_tracker.saying import KEY, V1

ID = image_id_of(KEY)


def head(source=V1, **metadata):
    return Head(source, source.etag, "image/jpeg", metadata)


def announced(source=V1, target="instant", key=KEY):
    return Message(upload_body(key, head(source)), target, "application/json")


REMOVAL = removal_body(KEY)  # once, since it is named after its moment


def withdrawn(target="instant"):
    return Message(REMOVAL, target, "application/json")


def spoken(fact):
    author = {"/cli": "operator"}.get(fact.recorded_by, fact.recorded_by[1:])
    return Message(fact.body, fact.type, CONTENT_TYPE, exchange=LIFECYCLE, author=author)


def mark(at):
    body = say(Watermark(), by="status-tracker", now=at).to_json()
    return Message(body, "tracker.watermark", CONTENT_TYPE, exchange=LIFECYCLE, author="status-tracker")
