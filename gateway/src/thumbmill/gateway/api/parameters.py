"""Parameters in the URLs of the API."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Path, Query, Request
from fastapi.dependencies.models import Dependant

from thumbmill.core.contracts.batch import BATCH_PATTERN
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.upload_tokens import MAX_TOKEN_CHARACTERS

StatusFilter = Annotated[
    list[Status] | None, Query(max_length=20, description="Return only images in this state; repeatable")
]
IncludeDeleted = Annotated[bool, Query(description="`false` leaves out images in the state DELETED")]
KeyFilter = Annotated[
    str | None, Query(max_length=1024, description="Return only the image under exactly this object key")
]
BatchFilter = Annotated[
    str | None, Query(pattern=BATCH_PATTERN, description="Only images of the batch with this label")
]
Cursor = Annotated[str | None, Query(max_length=200, description="The value of `next` in the previous page")]
Limit = Annotated[int, Query(ge=1, le=200, description="Maximum number of images in the page")]
Batch = Annotated[str | None, Query(pattern=BATCH_PATTERN, description="Label of uploads that belong together")]
UploadId = Annotated[
    str, Query(max_length=MAX_TOKEN_CHARACTERS, description="The value of `upload_id` when the upload was started")
]
Variant = Annotated[str, Path(alias="type", description="`original`, or the name of a preset")]
ContentId = Annotated[
    str | None, Query(max_length=100, description="Id of the content; the response can then be cached forever")
]


async def reject_unknown_parameters(request: Request) -> None:
    """Raise Problem (400) if the URL has a parameter that its route does not know.

    FastAPI ignores such a parameter, and a misspelt filter would return everything.
    """
    known = set(_names(request.scope["route"].dependant))
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        allowed = f"allowed: {', '.join(sorted(known))}" if known else "this endpoint accepts no parameters"
        raise Problem(Code.UNKNOWN_PARAMETER, f"{', '.join(name[:100] for name in unknown[:10])}: {allowed}")


def _names(dependant: Dependant) -> Iterator[str]:
    """Yield the names of the query parameters of a route and its dependencies."""
    yield from (field.alias for field in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _names(dependency)
