"""Frames of a stream of server-sent events, and the JSON of changes. Pure but for the shared renderings."""

import json
import random
from collections.abc import Iterable

from fastapi.sse import format_sse_event

from thumbmill.core.contracts.changes import ChangeType, change_type
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.images.presenter import to_image_out
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.live.changes import Change
from thumbmill.gateway.live.event_ids import EventId, FeedHead, ResetReason
from thumbmill.gateway.live.models import ChangeOut
from thumbmill.gateway.live.subscriptions import Group
from thumbmill.gateway.urls import Links

# Clients that lose their connections at the same moment, such as at a restart, come back spread over this time.
RETRY_MILLISECONDS = (2000, 5000)


def render_change(change: Change, links: Links) -> bytes:
    """Return a change as JSON: the same in a stream and in a page of changes."""
    rendering = links.base, links.period
    rendered = change.rendered.get(rendering)
    if rendered is None:
        body = ChangeOut(
            id=str(change.id),
            type=ChangeType(change.type),
            timestamp=change.at,
            data=to_image_out(change.row, links),
        )
        rendered = change.rendered[rendering] = body.model_dump_json().encode()
    return rendered


def group_frames(group: Group, links: Links) -> bytes:
    """Return the frames of changes, ready to be sent."""
    rendering = links.base, links.period
    rendered = group.rendered.get(rendering)
    if rendered is None:
        rendered = group.rendered[rendering] = change_frames(group.changes, links)
    return rendered


def change_frames(changes: Iterable[Change], links: Links) -> bytes:
    """Return one frame for each change."""
    return b"".join(
        format_sse_event(event=change.type, id=str(change.id), data_str=render_change(change, links).decode())
        for change in changes
    )


def type_of(row: ImageRow) -> ChangeType:
    """Return the type of the change that led to an image's present state."""
    return change_type(Status(row.status), is_retrying=row.next_attempt_at is not None)


def image_frame(row: ImageRow, links: Links, id_: str) -> bytes:
    """Return the present state of an image as the frame of its last change."""
    type_ = type_of(row)
    body = ChangeOut(id=id_, type=type_, timestamp=row.updated_at, data=to_image_out(row, links))
    return format_sse_event(event=type_, id=id_, data_str=body.model_dump_json())


def hello_frame(position: EventId, head: EventId, lag_seconds: float | None) -> bytes:
    """Return the first frame. A client that reconnects before the first change resumes from its id."""
    return format_sse_event(
        event="hello",
        id=str(position),
        retry=random.randint(*RETRY_MILLISECONDS),  # noqa: S311 - no secret
        data_str=_head_json(head, lag_seconds),
    )


def heartbeat_frame(position: EventId, head: EventId, lag_seconds: float | None) -> bytes:
    """Return an event and no comment: a page can only notice silence if it can see heartbeats."""
    return format_sse_event(event="heartbeat", id=str(position), data_str=_head_json(head, lag_seconds))


def reset_frame(reason: ResetReason, head: FeedHead) -> bytes:
    """Return the frame after which a client has to read the present state. The stream continues after the head."""
    return format_sse_event(
        event="reset", id=str(head.id), data_str=json.dumps({"reason": reason.value, "head": str(head.id)})
    )


def _head_json(head: EventId, lag_seconds: float | None) -> str:
    return json.dumps({"head": str(head), "lag_s": None if lag_seconds is None else round(lag_seconds, 1)})
