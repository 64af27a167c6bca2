"""Error responses as RFC 9457 problems, each with a stable code."""

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
    """Stable codes of problems. Status, title and detail may change."""

    MALFORMED_FORM = "malformed_form"
    MALFORMED_REQUEST = "malformed_request"
    MISSING_FILE = "missing_file"
    SEVERAL_FILES = "several_files"
    FORM_TOO_LARGE = "form_too_large"
    EMPTY_FILE = "empty_file"
    IDEMPOTENCY_KEY_INVALID = "idempotency_key_invalid"
    UNKNOWN_PARAMETER = "unknown_parameter"
    UNAUTHORIZED = "unauthorized"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    CROSS_ORIGIN = "cross_origin"
    OPERATOR_ACTIONS_OFF = "operator_actions_off"
    KEY_NOT_ALLOWED = "key_not_allowed"
    INVALID_SIGNATURE = "invalid_signature"
    LINKS_OFF = "links_off"
    NOT_FOUND = "not_found"
    IMAGE_NOT_FOUND = "image_not_found"
    ORDER_NOT_FOUND = "order_not_found"
    VARIANT_NOT_FOUND = "variant_not_found"
    UPLOAD_NOT_FOUND = "upload_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UPLOAD_STALLED = "upload_stalled"
    REQUEST_TIMEOUT = "request_timeout"
    NOT_READY = "not_ready"
    TICKET_NOT_USED = "ticket_not_used"
    NOT_FAILED = "not_failed"
    NOT_RETRYABLE = "not_retryable"
    ALREADY_RUNNING = "already_running"
    INVALID_PARTS = "invalid_parts"
    IDEMPOTENCY_KEY_SPENT = "idempotency_key_spent"
    GONE = "gone"
    UPLOAD_EXPIRED = "upload_expired"
    LINK_EXPIRED = "link_expired"
    FILE_TOO_LARGE = "file_too_large"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNSUPPORTED_CONTENT_TYPE = "unsupported_content_type"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    WRONG_HOST = "wrong_host"
    INVALID_REQUEST = "invalid_request"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    HEADERS_TOO_LARGE = "headers_too_large"
    HTTP_ERROR = "http_error"
    INTERNAL_ERROR = "internal_error"
    RETRIED_TOO_SOON = "retried_too_soon"
    RATE_LIMITED = "rate_limited"
    VARIANT_LOST = "variant_lost"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_REQUESTS = "too_many_requests"
    TOO_MANY_STREAMS = "too_many_streams"
    TOO_MANY_UPLOADS = "too_many_uploads"
    TOO_MANY_WAITING = "too_many_waiting"
    STORAGE_TIMEOUT = "storage_timeout"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    BROKER_UNAVAILABLE = "broker_unavailable"
    NOT_CAUGHT_UP = "not_caught_up"
    KEYS_UNKNOWN = "keys_unknown"


# code: status, title
PROBLEMS: dict[Code, tuple[int, str]] = {
    Code.MALFORMED_FORM: (400, "The body is not a complete multipart/form-data form."),
    Code.MALFORMED_REQUEST: (400, "The request is not valid HTTP/1.1."),
    Code.MISSING_FILE: (400, "The form has no field named 'file'. Send the image in that field."),
    Code.SEVERAL_FILES: (400, "The form has more than one file. Send one file in each request."),
    Code.FORM_TOO_LARGE: (400, "The form has too much data besides the file. Send the file and few small fields."),
    Code.EMPTY_FILE: (400, "The file is empty."),
    Code.IDEMPOTENCY_KEY_INVALID: (
        400,
        "The Idempotency-Key must be one text of 1 to 255 printable ASCII characters, bare or in double quotes.",
    ),
    Code.UNKNOWN_PARAMETER: (400, "The URL has a query parameter that this endpoint does not accept."),
    Code.UNAUTHORIZED: (
        401,
        "A valid API key is required. Send X-API-Key: <key> or Authorization: Bearer <key>.",
    ),
    Code.INSUFFICIENT_SCOPE: (403, "The API key has not the scope that this request needs."),
    Code.CROSS_ORIGIN: (
        403,
        "Pages of other origins may not change anything. Add the origin to CORS_ALLOW_ORIGINS to allow it.",
    ),
    Code.OPERATOR_ACTIONS_OFF: (
        403,
        "The orders of operators are switched off on this gateway (OPERATOR_ACTIONS).",
    ),
    Code.KEY_NOT_ALLOWED: (403, "The key is not the one that this upload was started with."),
    Code.INVALID_SIGNATURE: (403, "The link is not one that this installation has signed."),
    Code.LINKS_OFF: (403, "This gateway signs no links, since it has no keys for them (SIGNING_KEYS_FILE)."),
    Code.NOT_FOUND: (404, "There is no resource at this URL."),
    Code.IMAGE_NOT_FOUND: (404, "There is no image with this id."),
    Code.ORDER_NOT_FOUND: (404, "There is no order or run with this id."),
    Code.VARIANT_NOT_FOUND: (404, "The image has no variant of this type."),
    Code.UPLOAD_NOT_FOUND: (
        404,
        "There is no unfinished upload with this id: it was aborted, or has expired. Start a new one.",
    ),
    Code.METHOD_NOT_ALLOWED: (405, "This endpoint does not support this method."),
    Code.UPLOAD_STALLED: (408, "The request body arrived too slowly. Send the request again."),
    Code.REQUEST_TIMEOUT: (408, "The request headers did not arrive in time. Send the request again."),
    Code.NOT_READY: (409, "This variant does not exist yet. Try again later."),
    Code.TICKET_NOT_USED: (
        409,
        "Nothing was uploaded with this ticket, so there is nothing to delete. The ticket expires on its own.",
    ),
    Code.NOT_FAILED: (409, "Only an image in the state FAILED can be retried."),
    Code.NOT_RETRYABLE: (409, "The same bytes would fail in the same way again. Upload another file."),
    Code.ALREADY_RUNNING: (409, "The image is already being processed. Check its status."),
    Code.INVALID_PARTS: (
        409,
        "The uploaded parts do not make up the file. Upload the parts that the detail names, then complete again.",
    ),
    Code.IDEMPOTENCY_KEY_SPENT: (
        409,
        "The image that was uploaded with this Idempotency-Key was deleted. Use a new key to upload it again.",
    ),
    Code.GONE: (410, "The image was deleted."),
    Code.UPLOAD_EXPIRED: (410, "The time in which this upload could be continued has ended. Start a new one."),
    Code.LINK_EXPIRED: (410, "The link has expired. Get a new one from the image's status."),
    Code.FILE_TOO_LARGE: (413, "The file is larger than the limit."),
    Code.BODY_TOO_LARGE: (413, "The request body is larger than the limit."),
    Code.UNSUPPORTED_FORMAT: (
        415,
        "The image format is not supported. Supported formats: JPEG, PNG, GIF, WebP, AVIF, HEIC, TIFF, BMP.",
    ),
    Code.UNSUPPORTED_CONTENT_TYPE: (
        415,
        "The Content-Type is not supported. Send multipart/form-data, or the raw bytes with an image/* type.",
    ),
    Code.RANGE_NOT_SATISFIABLE: (416, "The file has none of the bytes that the header Range names."),
    Code.WRONG_HOST: (
        421,
        "The Host header does not name this gateway. Add the name to ALLOWED_HOSTS to allow it.",
    ),
    Code.INVALID_REQUEST: (422, "The request is not valid. The detail names each invalid value."),
    Code.IDEMPOTENCY_KEY_REUSED: (
        422,
        "Another file was uploaded with this Idempotency-Key. Use a new key for each file.",
    ),
    Code.RETRIED_TOO_SOON: (429, "The image has just failed again. Wait before the next retry."),
    Code.RATE_LIMITED: (
        429,
        "The client exceeds a limit of this gateway. Retry-After says when to try again.",
    ),
    Code.HTTP_ERROR: (400, "The request cannot be processed."),
    Code.INTERNAL_ERROR: (500, "An internal error occurred. The log of the gateway has the details."),
    Code.VARIANT_LOST: (503, "The variant is missing and is being created again. Try again later."),
    Code.HEADERS_TOO_LARGE: (431, "The headers or trailers exceed the limit of 64 KiB and 100 fields."),
    Code.TOO_MANY_CONNECTIONS: (503, "The gateway has reached its limit of connections. Try again later."),
    Code.TOO_MANY_REQUESTS: (503, "The gateway has more requests than it can answer in time. Try again later."),
    Code.TOO_MANY_STREAMS: (503, "The gateway has reached its limit of streams. Try again later, or poll."),
    Code.TOO_MANY_UPLOADS: (503, "The gateway has reached its limit of concurrent uploads. Try again later."),
    Code.TOO_MANY_WAITING: (503, "Too many images wait to be processed. Try again later."),
    Code.STORAGE_TIMEOUT: (
        503,
        "The object store did not answer in time. The image may have been stored: check its status.",
    ),
    Code.STORAGE_UNAVAILABLE: (503, "The object store is unavailable. Try again later."),
    Code.DATABASE_UNAVAILABLE: (503, "The database is unavailable. Try again later."),
    Code.BROKER_UNAVAILABLE: (
        503,
        "The message broker is unavailable, so tickets, retries and orders are not possible. Try again later.",
    ),
    Code.NOT_CAUGHT_UP: (
        503,
        "The status tracker has not yet processed everything that happened before this request. Try again later.",
    ),
    Code.KEYS_UNKNOWN: (503, "The database with the API keys cannot be read. Try again later."),
}

_RETRY_SECONDS = {
    Code.TOO_MANY_REQUESTS: 2,
    Code.TOO_MANY_UPLOADS: 1,
    Code.TOO_MANY_WAITING: 10,
    Code.NOT_CAUGHT_UP: 1,
    Code.NOT_READY: 1,
}
# Problem types that other specifications define; the others are URNs of their codes.
_TYPES = {
    Code.RATE_LIMITED: "https://iana.org/assignments/http-problem-types#quota-exceeded",
}
_CODE_OF_DEPENDENCY = {
    "gateway": Code.TOO_MANY_REQUESTS,  # its queue for database connections is full
    "minio": Code.STORAGE_UNAVAILABLE,
    "postgres": Code.DATABASE_UNAVAILABLE,
    "rabbitmq": Code.BROKER_UNAVAILABLE,
}


class Problem(Exception):  # noqa: N818 - the RFC's term
    """An error response. ``members`` are added to its body."""

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
        """Return whether the client caused the problem, rather than the service."""
        return 400 <= self.status < 500

    def body(self) -> dict[str, Any]:
        """Return the body as RFC 9457 defines it."""
        detail = {"detail": self.detail} if self.detail else {}
        return {
            "type": _TYPES.get(self.code, f"urn:thumbmill:problem:{self.code.value}"),
            "title": PROBLEMS[self.code][1],
            "status": self.status,
            "code": self.code.value,
            **detail,
            **self.members,
        }

    def response(self) -> JSONResponse:
        """Return the HTTP response."""
        return JSONResponse(self.body(), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def dependency_problem(error: DependencyUnavailable) -> Problem:
    """Return the problem for an unavailable dependency and log the cause, which clients do not see."""
    log.warning("dependency_unavailable", dependency=error.dependency, error=str(error))
    return Problem(_CODE_OF_DEPENDENCY.get(error.dependency, Code.INTERNAL_ERROR))


def install_handlers(app: FastAPI) -> None:
    """Answer every error with a problem, FastAPI's own errors included."""
    app.add_exception_handler(Problem, _handle_problem)
    app.add_exception_handler(DependencyUnavailable, _handle_unavailable)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)


async def _handle_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - registered for it
    structlog.contextvars.bind_contextvars(problem=error.code.value)
    return error.response()


async def _handle_unavailable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DependencyUnavailable)  # noqa: S101 - registered for it
    return await _handle_problem(request, dependency_problem(error))


async def _handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return await _handle_problem(request, validation_problem(error.errors()))


def validation_problem(errors: Any) -> Problem:
    """Return the problem that lists pydantic's validation errors."""
    invalid_values = [
        {"at": ".".join(str(step) for step in error["loc"]) or "body", "message": error["msg"]} for error in errors
    ]
    detail = "; ".join(f"{one['at']}: {one['message']}" for one in invalid_values)
    return Problem(Code.INVALID_REQUEST, detail, errors=invalid_values)


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    headers = dict(error.headers or {})
    if error.status_code == 405:  # a route knows only its own methods, not those of other routes with its path
        headers["Allow"] = ", ".join(allowed_methods(request.app.routes, request.scope))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    codes = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 401: Code.UNAUTHORIZED}
    code = codes.get(error.status_code, Code.HTTP_ERROR)
    detail = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
    problem = Problem(code, detail, status=error.status_code, headers=headers)
    return await _handle_problem(request, problem)
