"""What can go wrong, as clients see it: RFC 9457 problems, each with a stable code."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.http.methods import allowed_methods

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


class Code(StrEnum):
    """A code is stable; status, title and detail may be improved."""

    MALFORMED_FORM = "malformed_form"
    MALFORMED_REQUEST = "malformed_request"
    MISSING_FILE = "missing_file"
    SEVERAL_FILES = "several_files"
    FORM_TOO_LARGE = "form_too_large"
    EMPTY_FILE = "empty_file"
    UNKNOWN_PARAMETER = "unknown_parameter"
    UNAUTHORIZED = "unauthorized"
    CROSS_ORIGIN = "cross_origin"
    NOT_FOUND = "not_found"
    IMAGE_NOT_FOUND = "image_not_found"
    VARIANT_NOT_FOUND = "variant_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UPLOAD_STALLED = "upload_stalled"
    REQUEST_TIMEOUT = "request_timeout"
    NOT_READY = "not_ready"
    TICKET_NOT_USED = "ticket_not_used"
    NOT_FAILED = "not_failed"
    NOT_RETRYABLE = "not_retryable"
    ALREADY_RUNNING = "already_running"
    GONE = "gone"
    FILE_TOO_LARGE = "file_too_large"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNSUPPORTED_CONTENT_TYPE = "unsupported_content_type"
    WRONG_HOST = "wrong_host"
    INVALID_REQUEST = "invalid_request"
    HEADERS_TOO_LARGE = "headers_too_large"
    HTTP_ERROR = "http_error"
    INTERNAL_ERROR = "internal_error"
    RETRIED_TOO_SOON = "retried_too_soon"
    TOO_MANY_TICKETS = "too_many_tickets"
    VARIANT_LOST = "variant_lost"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_REQUESTS = "too_many_requests"
    TOO_MANY_UPLOADS = "too_many_uploads"
    TOO_MANY_WAITING = "too_many_waiting"
    STORAGE_TIMEOUT = "storage_timeout"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    BROKER_UNAVAILABLE = "broker_unavailable"
    NOT_CAUGHT_UP = "not_caught_up"


# code: status, title
PROBLEMS: dict[Code, tuple[int, str]] = {
    Code.MALFORMED_FORM: (400, "The body is no complete multipart/form-data form."),
    Code.MALFORMED_REQUEST: (400, "This is no HTTP request."),
    Code.MISSING_FILE: (400, "The form has no file in a field named 'file'."),
    Code.SEVERAL_FILES: (400, "The form has more than one file; send one in each request."),
    Code.FORM_TOO_LARGE: (400, "The form holds too much beside the file; send the file, and little else."),
    Code.EMPTY_FILE: (400, "The file holds no bytes."),
    Code.UNKNOWN_PARAMETER: (400, "The address has a parameter that it does not know."),
    Code.UNAUTHORIZED: (401, "Show an API key: X-API-Key: <key>, or Authorization: Bearer <key>."),
    Code.CROSS_ORIGIN: (
        403,
        "A page of another origin may change nothing here; CORS_ALLOW_ORIGINS names those that may.",
    ),
    Code.NOT_FOUND: (404, "There is nothing at this address."),
    Code.IMAGE_NOT_FOUND: (404, "There is no image with this id."),
    Code.VARIANT_NOT_FOUND: (404, "The image has no variant of this type."),
    Code.METHOD_NOT_ALLOWED: (405, "This address does not answer to this method."),
    Code.UPLOAD_STALLED: (408, "The body came too slowly; send it again."),
    Code.REQUEST_TIMEOUT: (408, "The request's head was not complete in time."),
    Code.NOT_READY: (409, "This variant does not exist yet."),
    Code.TICKET_NOT_USED: (
        409,
        "Nothing was uploaded with this ticket, so there is nothing to delete; it expires.",
    ),
    Code.NOT_FAILED: (409, "Only a FAILED image can be tried again."),
    Code.NOT_RETRYABLE: (409, "Another try of the same bytes would end the same way; upload another file."),
    Code.ALREADY_RUNNING: (409, "The image is being tried already; ask for its status."),
    Code.GONE: (410, "The image was deleted."),
    Code.FILE_TOO_LARGE: (413, "The file is larger than the service takes."),
    Code.BODY_TOO_LARGE: (413, "The body is larger than this address takes."),
    Code.UNSUPPORTED_FORMAT: (
        415,
        "The content is none of the supported image formats: JPEG, PNG, GIF, WebP, AVIF, HEIC, TIFF, BMP.",
    ),
    Code.UNSUPPORTED_CONTENT_TYPE: (415, "Send multipart/form-data, or the bytes with an image/* content type."),
    Code.WRONG_HOST: (
        421,
        "The gateway is not known by this name; ALLOWED_HOSTS gives more names.",
    ),
    Code.INVALID_REQUEST: (422, "The request does not say what it must."),
    Code.RETRIED_TOO_SOON: (429, "The image has just failed again; wait before the next try."),
    Code.TOO_MANY_TICKETS: (429, "More forms were asked for than a client may have in a minute; wait."),
    Code.HTTP_ERROR: (400, "The request cannot be answered."),
    Code.INTERNAL_ERROR: (500, "The service failed; the fault is in its log."),
    Code.VARIANT_LOST: (503, "The variant was lost and is being made again; try again."),
    Code.HEADERS_TOO_LARGE: (431, "A request's head, or trailer, holds at most 64 KiB and 100 fields."),
    Code.TOO_MANY_CONNECTIONS: (503, "As many connections as the service keeps are busy; try again."),
    Code.TOO_MANY_REQUESTS: (503, "More is asked at once than the service can answer in time; try again."),
    Code.TOO_MANY_UPLOADS: (503, "As many uploads as the service takes at once are running; try again."),
    Code.TOO_MANY_WAITING: (503, "More images wait to be processed than the service lets wait; try again later."),
    Code.STORAGE_TIMEOUT: (503, "The store did not answer in time. The image may have been stored: ask for it."),
    Code.STORAGE_UNAVAILABLE: (503, "The store is away; try again."),
    Code.DATABASE_UNAVAILABLE: (503, "The database is away; try again."),
    Code.BROKER_UNAVAILABLE: (
        503,
        "The message broker is away, so there are neither tickets nor other tries; try again.",
    ),
    Code.NOT_CAUGHT_UP: (503, "The service has not yet heard all that happened up to this request; try again."),
}

_RETRY_SECONDS = {
    Code.TOO_MANY_REQUESTS: 2,
    Code.TOO_MANY_UPLOADS: 1,
    Code.TOO_MANY_WAITING: 10,
    Code.NOT_CAUGHT_UP: 1,
    Code.NOT_READY: 1,
}
_UNAVAILABLE = {
    "gateway": Code.TOO_MANY_REQUESTS,  # it has no room for one more question
    "minio": Code.STORAGE_UNAVAILABLE,
    "postgres": Code.DATABASE_UNAVAILABLE,
    "rabbitmq": Code.BROKER_UNAVAILABLE,
}


class Problem(Exception):  # noqa: N818 - the RFC's word
    """An answer other than the one asked for. ``members`` are added to the body."""

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{code.value}: {detail}" if detail else code.value)
        self.code = code
        self.detail = detail
        self.status = status or PROBLEMS[code][0]
        self.headers = dict(headers or {})
        self.members = members
        if self.status == 503 or code in _RETRY_SECONDS:
            self.headers.setdefault("Retry-After", str(_RETRY_SECONDS.get(code, 5)))
        if self.status == 401:
            self.headers.setdefault("WWW-Authenticate", "Bearer")

    @property
    def is_client_error(self) -> bool:
        """Tell whether the request is at fault, and not we."""
        return 400 <= self.status < 500

    def body(self) -> dict[str, Any]:
        """Write the problem as the RFC has it."""
        detail = {"detail": self.detail} if self.detail else {}
        return {
            "type": f"urn:thumbmill:problem:{self.code.value}",
            "title": PROBLEMS[self.code][1],
            "status": self.status,
            "code": self.code.value,
            **detail,
            **self.members,
        }

    def response(self) -> JSONResponse:
        """Make the answer."""
        return JSONResponse(self.body(), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def unavailable(error: DependencyUnavailable) -> Problem:
    """Say that a server which we need does not answer; what exactly it said stays in our log."""
    log.warning("dependency_away", dependency=error.dependency, error=str(error))
    return Problem(_UNAVAILABLE.get(error.dependency, Code.INTERNAL_ERROR))


def install_handlers(app: FastAPI) -> None:
    """Make every fault a problem, FastAPI's own too."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(DependencyUnavailable, _answer_away)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)


async def _answer_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - registered for it
    structlog.contextvars.bind_contextvars(problem=error.code.value)
    return error.response()


async def _answer_away(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DependencyUnavailable)  # noqa: S101 - registered for it
    return await _answer_problem(request, unavailable(error))


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return await _answer_problem(request, invalid(error.errors()))


def invalid(errors: Any) -> Problem:
    """Say which part of a request is wrong, from pydantic's list of errors."""
    faults = [
        {"at": ".".join(str(step) for step in error["loc"]) or "body", "message": error["msg"]} for error in errors
    ]
    detail = "; ".join(f"{one['at']}: {one['message']}" for one in faults)
    return Problem(Code.INVALID_REQUEST, detail, errors=faults)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    headers = dict(error.headers or {})
    if error.status_code == 405:  # each route knows its own methods alone
        headers["Allow"] = ", ".join(allowed_methods(request.app.routes, request.scope))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    codes = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 401: Code.UNAUTHORIZED}
    code = codes.get(error.status_code, Code.HTTP_ERROR)
    detail = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
    problem = Problem(code, detail, status=error.status_code, headers=headers)
    return await _answer_problem(request, problem)
