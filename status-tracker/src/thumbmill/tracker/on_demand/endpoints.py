"""The admin port's endpoints for requests of operators: create one, read its progress, cancel it; renew the feed.

A request only does earlier what the tracker or an image's owner could do anyway, and a renewed feed makes its
readers fetch again what they have. So the port needs no secret.
"""

from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from thumbmill.core.errors import one_line_error
from thumbmill.core.service.admin_server import Endpoints, Json, JsonEndpoint
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.on_demand.repository import RequestRepository
from thumbmill.tracker.on_demand.request import OperatorRequest, RequestKind
from thumbmill.tracker.on_demand.retry import RetryParameters

log = structlog.get_logger()

T = TypeVar("T", bound=BaseModel)

PATHS = {RequestKind.RECONCILIATION: "/reconciliation", RequestKind.RETRY: "/retry"}


class _Operator(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    operator: str = Field("unknown", min_length=1, max_length=200)


class ReconciliationParameters(_Operator):
    """How to reconcile, and who asks for it."""

    dry_run: StrictBool = False


class _RequestId(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int | None = Field(None, ge=1, lt=2**63)  # the latest request, if missing


_PARAMETERS: dict[RequestKind, type[ReconciliationParameters | RetryParameters]] = {
    RequestKind.RECONCILIATION: ReconciliationParameters,
    RequestKind.RETRY: RetryParameters,
}


def make_endpoints(connect: Callable[[], Repository]) -> Endpoints:
    """Return the endpoints by method and path; each call has a connection of its own."""
    endpoints: dict[tuple[str, str], JsonEndpoint] = {}
    for kind, path in PATHS.items():
        endpoints["POST", path] = _make_create(kind, connect)
        endpoints["GET", path] = _make_read(kind, connect)
        endpoints["POST", f"{path}/cancel"] = _make_cancel(kind, connect)
    endpoints["POST", "/feed/renew"] = _make_renew_feed(connect)
    return endpoints


def _make_renew_feed(connect: Callable[[], Repository]) -> JsonEndpoint:
    def renew(json: Json) -> Json:
        operator = _validate(_Operator, json).operator
        with closing(connect()) as repository:
            epoch, last = repository.renew_feed()
        log.warning("feed_renewed", epoch=epoch, last=last, operator=operator)
        return {"state": "done", "epoch": epoch, "last": last}

    return renew


def _make_create(kind: RequestKind, connect: Callable[[], Repository]) -> JsonEndpoint:
    def create(json: Json) -> Json:
        parameters = _validate(_PARAMETERS[kind], json)
        stored = parameters.model_dump(mode="json", exclude={"dry_run", "operator"})
        with closing(connect()) as repository:
            request = RequestRepository(repository).add(
                kind, stored, dry_run=parameters.dry_run, requested_by=parameters.operator
            )
        return request.to_json()

    return create


def _make_read(kind: RequestKind, connect: Callable[[], Repository]) -> JsonEndpoint:
    def read(json: Json) -> Json:
        request_id = _validate(_RequestId, json).id
        with closing(connect()) as repository:
            return _found(RequestRepository(repository).find(kind, request_id)).to_json()

    return read


def _make_cancel(kind: RequestKind, connect: Callable[[], Repository]) -> JsonEndpoint:
    def cancel(json: Json) -> Json:
        request_id = _validate(_RequestId, json).id
        if request_id is None:
            raise ValueError("id: the ID of the request to cancel is missing")
        with closing(connect()) as repository:
            return _found(RequestRepository(repository).cancel(kind, request_id)).to_json()

    return cancel


def _validate(model: type[T], json: Json) -> T:
    try:
        return model.model_validate(dict(json))
    except ValidationError as error:
        raise ValueError(one_line_error(error)) from error


def _found(request: OperatorRequest | None) -> OperatorRequest:
    if request is None:
        raise LookupError("there is no such request")
    return request
