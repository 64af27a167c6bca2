"""OpenAPI details that FastAPI cannot derive: request bodies, and the problems of each endpoint with examples."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from thumbmill.gateway.api.route_scopes import scopes_of_routes
from thumbmill.gateway.http.session_cookie import COOKIE
from thumbmill.gateway.images.models import ExistingImage, ImageOut
from thumbmill.gateway.operations.order_models import (
    ImageRedriveRequest,
    ReconciliationRequest,
    RedriveAccepted,
    RedriveRequest,
)
from thumbmill.gateway.problems import MEDIA_TYPE, PROBLEMS, Code, Problem

Responses = dict[int | str, dict[str, Any]]

UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


_SECURITY_SCHEMES = {
    "APIKeyHeader": {"type": "apiKey", "description": "An API key", "in": "header", "name": "X-API-Key"},
    "HTTPBearer": {"type": "http", "description": "An API key", "scheme": "bearer"},
    "APIKeyCookie": {
        "type": "apiKey",
        "description": "Session of a browser (`POST /api/v1/session`)",
        "in": "cookie",
        "name": COOKIE,  # over HTTPS it has a prefix
    },
}


def json_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Return the OpenAPI declaration of a body that the route reads itself.

    FastAPI would read a body parameter before it checks the key.
    """
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")  # `describe` moves them there
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


RECONCILIATION_BODY = json_body(ReconciliationRequest, required=False)
REDRIVE_BODY = json_body(RedriveRequest)
IMAGE_REDRIVE_BODY = json_body(ImageRedriveRequest, required=False)

_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "description": "URN of the code"},
        "title": {"type": "string", "description": "What is wrong, the same for every problem with this code"},
        "status": {"type": "integer", "description": "HTTP status"},
        "code": {
            "type": "string",
            "enum": [code.value for code in Code],
            "description": "Stable code for programs",
        },
        "detail": {"type": "string", "description": "What is wrong with this request"},
    },
}


def problem_responses(*codes: Code) -> Responses:
    """Return the OpenAPI responses for these problems: one for each status, with an example for each code."""
    responses: Responses = {}
    for code in codes:
        status, title = PROBLEMS[code]
        response = responses.setdefault(
            status, {"description": title, "content": {MEDIA_TYPE: {"schema": _reference("schemas", "Problem")}}}
        )
        examples = response["content"][MEDIA_TYPE].setdefault("examples", {})
        examples[code.value] = _reference("examples", code.value)
        if len(examples) > 1:
            response["description"] = HTTPStatus(status).phrase
    return responses


def describe(app: FastAPI) -> None:
    """Add what `problem_responses` and `json_body` refer to, once, to the description that FastAPI generates."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        components = (description := generate()).setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = _PROBLEM_SCHEMA
        for schema in _request_schemas(description):
            for name, definition in schema.pop("$defs", {}).items():
                schemas.setdefault(name, definition)  # a response may have it, too
        components["securitySchemes"] = _SECURITY_SCHEMES
        for route, scopes in scopes_of_routes(app):
            for method in route.methods or ():
                description["paths"][route.path][method.lower()]["security"] = [
                    {scheme: scopes} for scheme in _SECURITY_SCHEMES
                ]
        components["examples"] = {
            code.value: {"summary": title, "value": Problem(code).body()} for code, (_, title) in PROBLEMS.items()
        }
        return description

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI documents


def _request_schemas(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in description["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield content["schema"]


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


_LOOKUP = (Code.IMAGE_NOT_FOUND, Code.NOT_CAUGHT_UP, Code.DATABASE_UNAVAILABLE, Code.STORAGE_UNAVAILABLE)
_NOT_MODIFIED: Responses = {304: {"description": "Not modified since the ETag in If-None-Match"}}

COMMON = problem_responses(
    Code.UNKNOWN_PARAMETER,
    Code.UNAUTHORIZED,
    Code.INSUFFICIENT_SCOPE,
    Code.RATE_LIMITED,
    Code.INTERNAL_ERROR,
    Code.KEYS_UNKNOWN,
)
UPLOADED: Responses = {201: {"model": ImageOut, "description": "The image is DONE or FAILED (`Prefer: wait`)"}}
EXISTING: Responses = {
    200: {"model": ExistingImage, "description": "The image is there already: nothing needs to be uploaded"}
}
UPLOAD = problem_responses(
    Code.MISSING_FILE,
    Code.EMPTY_FILE,
    Code.MALFORMED_FORM,
    Code.SEVERAL_FILES,
    Code.FORM_TOO_LARGE,
    Code.UPLOAD_STALLED,
    Code.FILE_TOO_LARGE,
    Code.UNSUPPORTED_FORMAT,
    Code.UNSUPPORTED_CONTENT_TYPE,
    Code.INVALID_REQUEST,
    Code.IDEMPOTENCY_KEY_INVALID,
    Code.IDEMPOTENCY_KEY_SPENT,
    Code.IDEMPOTENCY_KEY_REUSED,
    Code.TOO_MANY_UPLOADS,
    Code.TOO_MANY_WAITING,
    Code.STORAGE_TIMEOUT,
    Code.STORAGE_UNAVAILABLE,
    Code.DATABASE_UNAVAILABLE,
)
LEGACY_UPLOAD = problem_responses(
    Code.MISSING_FILE, Code.EMPTY_FILE, Code.TOO_MANY_UPLOADS, Code.TOO_MANY_WAITING, Code.STORAGE_TIMEOUT
)
_TICKET = (
    Code.BODY_TOO_LARGE,
    Code.UNSUPPORTED_FORMAT,
    Code.INVALID_REQUEST,
    Code.FILE_TOO_LARGE,
    Code.BROKER_UNAVAILABLE,
    Code.STORAGE_UNAVAILABLE,
    Code.TOO_MANY_WAITING,
    Code.RATE_LIMITED,
    Code.IDEMPOTENCY_KEY_SPENT,
)
COMPANION_TICKET = problem_responses(*_TICKET)
TICKET = EXISTING | problem_responses(
    *_TICKET, Code.IDEMPOTENCY_KEY_INVALID, Code.IDEMPOTENCY_KEY_REUSED, Code.DATABASE_UNAVAILABLE
)
_PARTS = (Code.UPLOAD_NOT_FOUND, Code.UPLOAD_EXPIRED, Code.STORAGE_UNAVAILABLE, Code.INVALID_REQUEST)
PARTS = problem_responses(*_PARTS, Code.BODY_TOO_LARGE)
COMPLETE = problem_responses(
    *_PARTS,
    Code.BODY_TOO_LARGE,
    Code.INVALID_PARTS,
    Code.FILE_TOO_LARGE,
    Code.IDEMPOTENCY_KEY_SPENT,
    Code.IDEMPOTENCY_KEY_REUSED,
)
ABORT = problem_responses(Code.UPLOAD_NOT_FOUND, Code.STORAGE_UNAVAILABLE)
SESSION = problem_responses(Code.CROSS_ORIGIN, Code.BODY_TOO_LARGE, Code.INVALID_REQUEST)
LIST = problem_responses(Code.INVALID_REQUEST, Code.DATABASE_UNAVAILABLE, Code.STORAGE_UNAVAILABLE)
IMAGE = _NOT_MODIFIED | problem_responses(*_LOOKUP)
TIMELINE = problem_responses(*_LOOKUP)
_STREAM: Responses = {
    200: {"description": "Server-sent events until the client disconnects", "content": {"text/event-stream": {}}}
}
STREAM = _STREAM | problem_responses(Code.INVALID_REQUEST, Code.TOO_MANY_STREAMS, Code.DATABASE_UNAVAILABLE)
IMAGE_STREAM = (
    _STREAM
    | {204: {"description": "The client has seen the final state, so it need not reconnect"}}
    | problem_responses(*_LOOKUP, Code.TOO_MANY_STREAMS)
)
CHANGES = problem_responses(Code.INVALID_REQUEST, Code.DATABASE_UNAVAILABLE)
BATCH = _NOT_MODIFIED | problem_responses(Code.INVALID_REQUEST, Code.DATABASE_UNAVAILABLE)
VARIANT: Responses = (
    {
        200: {"description": "The bytes of the image", "content": {"image/*": {}}},
        206: {"description": "The bytes of the image that `Range` names", "content": {"image/*": {}}},
    }
    | _NOT_MODIFIED
    | problem_responses(
        *_LOOKUP, Code.VARIANT_NOT_FOUND, Code.NOT_READY, Code.GONE, Code.VARIANT_LOST, Code.RANGE_NOT_SATISFIABLE
    )
)
LINK: Responses = (
    {
        200: {"description": "The bytes of the variant", "content": {"image/*": {}}},
        206: {"description": "The bytes of the variant that `Range` names", "content": {"image/*": {}}},
    }
    | _NOT_MODIFIED
    | problem_responses(
        Code.INVALID_SIGNATURE,
        Code.LINK_EXPIRED,
        Code.VARIANT_NOT_FOUND,
        Code.RANGE_NOT_SATISFIABLE,
        Code.STORAGE_UNAVAILABLE,
    )
)
LINKS = problem_responses(
    *_LOOKUP,
    Code.LINKS_OFF,
    Code.BODY_TOO_LARGE,
    Code.INVALID_REQUEST,
    Code.VARIANT_NOT_FOUND,
    Code.NOT_READY,
    Code.GONE,
)
RETRY = problem_responses(
    *_LOOKUP,
    Code.NOT_FAILED,
    Code.NOT_RETRYABLE,
    Code.ALREADY_RUNNING,
    Code.GONE,
    Code.RETRIED_TOO_SOON,
    Code.BROKER_UNAVAILABLE,
)
DELETE = problem_responses(*_LOOKUP, Code.TICKET_NOT_USED)
SUMMARY = problem_responses(Code.DATABASE_UNAVAILABLE)
ORDER_STATE = problem_responses(Code.ORDER_NOT_FOUND, Code.NOT_CAUGHT_UP, Code.DATABASE_UNAVAILABLE)
ORDER = problem_responses(
    Code.OPERATOR_ACTIONS_OFF,
    Code.BODY_TOO_LARGE,
    Code.INVALID_REQUEST,
    Code.DATABASE_UNAVAILABLE,
    Code.BROKER_UNAVAILABLE,
)
REDRIVES: Responses = {
    200: {"model": RedriveAccepted, "description": "A dry run, or nothing matches"},
    **ORDER,
}
IMAGE_REDRIVE = problem_responses(
    *_LOOKUP,
    Code.OPERATOR_ACTIONS_OFF,
    Code.BODY_TOO_LARGE,
    Code.INVALID_REQUEST,
    Code.NOT_FAILED,
    Code.NOT_RETRYABLE,
    Code.ALREADY_RUNNING,
    Code.GONE,
    Code.BROKER_UNAVAILABLE,
)
