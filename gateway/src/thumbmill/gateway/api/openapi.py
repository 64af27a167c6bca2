"""What the API's description says beside the models: bodies and problem answers, with examples."""

from typing import Any

from thumbmill.gateway.problems import MEDIA_TYPE, PROBLEMS, Code, Problem
from thumbmill.gateway.uploads.presigned import PresignedUploadRequest

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

TICKET_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": PresignedUploadRequest.model_json_schema()}},
    }
}

_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": [code.value for code in Code]},
        "detail": {"type": "string"},
    },
}


def describe(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """Describe problem answers for OpenAPI, one for each status, with an example for each code."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = PROBLEMS[code]
        answer = described.setdefault(
            status, {"description": title, "content": {MEDIA_TYPE: {"schema": _SCHEMA, "examples": {}}}}
        )
        answer["content"][MEDIA_TYPE]["examples"][code.value] = {"value": Problem(code).body()}
    return described


_LOOKING = (Code.IMAGE_NOT_FOUND, Code.NOT_CAUGHT_UP, Code.DATABASE_UNAVAILABLE, Code.STORAGE_UNAVAILABLE)
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "As it was"}}

ANYWHERE = describe(Code.UNKNOWN_PARAMETER, Code.UNAUTHORIZED, Code.INTERNAL_ERROR)
UPLOAD_ANSWERS = describe(
    Code.MISSING_FILE,
    Code.EMPTY_FILE,
    Code.MALFORMED_FORM,
    Code.SEVERAL_FILES,
    Code.FORM_TOO_LARGE,
    Code.UPLOAD_STALLED,
    Code.FILE_TOO_LARGE,
    Code.UNSUPPORTED_FORMAT,
    Code.UNSUPPORTED_CONTENT_TYPE,
    Code.TOO_MANY_UPLOADS,
    Code.TOO_MANY_WAITING,
    Code.STORAGE_TIMEOUT,
    Code.STORAGE_UNAVAILABLE,
)
OLDER_UPLOAD_ANSWERS = describe(
    Code.MISSING_FILE, Code.EMPTY_FILE, Code.TOO_MANY_UPLOADS, Code.TOO_MANY_WAITING, Code.STORAGE_TIMEOUT
)
TICKET_ANSWERS = describe(
    Code.BODY_TOO_LARGE,
    Code.UNSUPPORTED_FORMAT,
    Code.INVALID_REQUEST,
    Code.BROKER_UNAVAILABLE,
    Code.TOO_MANY_WAITING,
    Code.TOO_MANY_TICKETS,
)
LIST_ANSWERS = describe(Code.INVALID_REQUEST, Code.DATABASE_UNAVAILABLE, Code.STORAGE_UNAVAILABLE)
IMAGE_ANSWERS = _UNCHANGED | describe(*_LOOKING)
TIMELINE_ANSWERS = describe(*_LOOKING)
VARIANT_ANSWERS: dict[int | str, dict[str, Any]] = (
    {200: {"content": {"image/*": {}}}}
    | _UNCHANGED
    | describe(*_LOOKING, Code.VARIANT_NOT_FOUND, Code.NOT_READY, Code.GONE, Code.VARIANT_LOST)
)
RETRY_ANSWERS = describe(
    *_LOOKING,
    Code.NOT_FAILED,
    Code.NOT_RETRYABLE,
    Code.ALREADY_RUNNING,
    Code.GONE,
    Code.RETRIED_TOO_SOON,
    Code.BROKER_UNAVAILABLE,
)
DELETE_ANSWERS = describe(*_LOOKING, Code.TICKET_NOT_USED)
