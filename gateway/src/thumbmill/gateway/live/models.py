"""Response bodies of the live endpoints."""

from pydantic import BaseModel, Field

from thumbmill.core.contracts.changes import ChangeType
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.images.models import ImageOut, Time
from thumbmill.gateway.live.event_ids import ResetReason


class ChangeOut(BaseModel):
    """One change of an image: the data of an event in a stream, and an item of the list of changes."""

    id: str = Field(
        description="Id of the change, which grows in the order of changes: `<epoch>-<number>`",
        examples=["k3f9-10423"],
    )
    type: ChangeType = Field(examples=["image.done"])
    timestamp: Time = Field(description="Time of the change")
    data: ImageOut = Field(description="The image as it was shown after this change")


class ChangePage(BaseModel):
    """Changes in the order in which they were recorded."""

    items: list[ChangeOut]
    next: str = Field(description="Value of `after` for the next request", examples=["k3f9-10423"])
    head: str = Field(description="Id of the last change that is recorded", examples=["k3f9-10429"])
    lag_s: float | None = Field(
        None, description="Seconds by which the recorded changes may lag behind; grows while the tracker is away"
    )
    reset: ResetReason | None = Field(
        None,
        description="Why `after` cannot be continued, otherwise null: read the present state, then continue "
        "after `next`",
    )


class BatchOut(BaseModel):
    """The images of one batch, counted by their states."""

    batch: str
    total: int = Field(description="Number of images")
    counts: dict[Status, int] = Field(description="Number of images in each state that occurs")
    finished: bool = Field(
        description="Whether there are images, none of them will change without a request, and every upload that "
        "was answered before this request is counted"
    )
    event_id: str | None = Field(
        None, description="Id of the last change of an image of this batch", examples=["k3f9-10423"]
    )
