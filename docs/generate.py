"""Writes the pages of docs/reference/ that follow from the code: ``make docs``. A test holds them equal to it."""

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from prometheus_client.metrics import MetricWrapperBase
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from thumbmill.cli.settings import KeySettings, TenantSettings
from thumbmill.cli.settings import Settings as CommandLineSettings
from thumbmill.core import build_info
from thumbmill.core import metrics as consumer_metrics
from thumbmill.core.contracts.base import EventType
from thumbmill.core.contracts.error_codes import MESSAGES, RETRYABLE
from thumbmill.core.contracts.events import LifecycleEvent
from thumbmill.core.contracts.senders import SENDERS
from thumbmill.gateway import metrics as gateway_metrics
from thumbmill.gateway.api import health
from thumbmill.gateway.api.app import create_routes
from thumbmill.gateway.problems import PROBLEMS
from thumbmill.gateway.settings import Settings as GatewaySettings
from thumbmill.thumbnailer import metrics as thumbnailer_metrics
from thumbmill.thumbnailer.settings import Settings as ThumbnailerSettings
from thumbmill.tracker import metrics as tracker_metrics
from thumbmill.tracker.settings import MigrationSettings
from thumbmill.tracker.settings import Settings as TrackerSettings

REFERENCE = Path(__file__).parent / "reference"

SERVICES: dict[str, type[BaseSettings]] = {
    "gateway": GatewaySettings,
    "thumbnailer": ThumbnailerSettings,
    "status tracker": TrackerSettings,
}
PROGRAMS: dict[str, type[BaseSettings]] = {
    "`status-tracker migrate`": MigrationSettings,
    "`thumbmill`": CommandLineSettings,
    "`thumbmill keys`": KeySettings,
    "`thumbmill tenants`": TenantSettings,
}
METRICS: dict[str, tuple[ModuleType, ...]] = {
    "All services": (build_info,),
    "Thumbnailer and status tracker": (consumer_metrics,),
    "Gateway": (gateway_metrics,),
    "Thumbnailer": (thumbnailer_metrics,),
    "Status tracker": (tracker_metrics,),
}
_SETTINGS = """\
# Settings

This page is generated from the code by `make docs`.

All settings are environment variables, checked at start: an error names the variable. Each can be given as a file by
`<NAME>_FILE`. An empty variable means the default. `make up` passes the variables of its shell on, but sets addresses,
ports, logins, `MINIO_PUBLIC_URL` and `LOG_FORMAT` itself.

## All services
"""
_METRICS_INTRO = """\
# Metrics

This page is generated from the code by `make docs`.

The gateway serves `/metrics` on its API's port (with `API_KEYS`, for one of them or `MONITORING_KEY`), the thumbnailer
on port 8001 and the status tracker on port 8002 (`HEALTH_PORT`). The Python client adds `process_…` and `python_…`.
[Monitor](../how-to/monitor.md) lists what to watch first.
"""
_ERRORS = """\
# Error codes

This page is generated from the code by `make docs`.

Codes are stable; their texts may be improved. The programs' exit codes are in their `--help`.

## FAILED images

`error` of an image is `{code, detail, retryable}`. A retryable error may end otherwise with the same file:
[Retry failed images](../how-to/retry-images.md).

| code | retryable | meaning |
|---|---|---|"""
_PROBLEMS = """\

## HTTP problems

Every error response is a problem of RFC 9457 (`application/problem+json`) with the member `code`. A 503 and a 429 have
`Retry-After`. The older `POST /upload-image/` answers each of the client's errors with 400.

| status | code | title |
|---|---|---|"""
_EVENTS = """\
# Events

This page is generated from the code by `make docs`.

Lifecycle events are CloudEvents 1.0 in structured JSON (`application/cloudevents+json`) on the topic exchange
`image.lifecycle`. The type is `thumbmill.<routing key>.v1`, `subject` is the image's id, `source` is the service
(`/gateway`), and `traceparent` is W3C's. Unknown fields are ignored, and fields are only ever added. The events of the
bucket are MinIO's own, on `storage.events`. [Architecture](../architecture.md#4-messages) has the rules.

The RabbitMQ user of an event's sender is checked twice: by the broker's topic permissions, and by the status tracker.
The status tracker records events without a sender, and nothing publishes them.

| routing key | sender | meaning | data |
|---|---|---|---|"""
_API = """\
# HTTP API

This page is generated from the code by `make docs`.

A running gateway serves the complete description at `/docs` and `/openapi.json`, which is [openapi.json](openapi.json)
here: parameters, bodies, responses and examples. Errors are [problems with a code](errors.md#http-problems). Where
`API_KEYS` is set, clients send a key as `X-API-Key`, as a bearer token, or in a browser as the password. A page
[has a session](../how-to/use-in-a-browser.md).

| method | path | what it does |
|---|---|---|"""
_API_END = """\

[Architecture](../architecture.md#9-http-as-the-gateway-speaks-it) describes how forms, file names, content types and
addresses behind a proxy are read."""
# What a counter's or a histogram's name gets in Prometheus' text format.
_SUFFIXES = {"counter": "_total", "histogram": "_bucket, _sum, _count"}


def settings_page() -> str:
    """Describe every environment variable, those of all services first."""
    common = _common_settings()
    lines = [_SETTINGS, *_settings_table(common)]
    for name, settings in (SERVICES | PROGRAMS).items():
        own = {
            field: info
            for field, info in settings.model_fields.items()
            if field not in common or _row(field, info) != _row(field, common[field])
        }
        note = (
            ["It also reads `RABBITMQ_…` and `LOG_FORMAT`, as above.", ""]
            if settings is CommandLineSettings
            else []
        )
        lines += ["", f"## {name[0].upper()}{name[1:]}", "", *note, *_settings_table(own)]
    return _page(lines)


def metrics_page() -> str:
    """Describe every metric of Thumbmill's own, by who exposes it."""
    lines = [_METRICS_INTRO.rstrip()]
    for title, modules in METRICS.items():
        lines += ["", f"## {title}", "", "| metric | type | labels | meaning |", "|---|---|---|---|"]
        for metric in _metrics_of(modules):
            [family] = metric.describe()
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - no public way
            suffix = _SUFFIXES.get(family.type, "")
            name = f"`{family.name}{suffix}`" if "," not in suffix else f"`{family.name}` ({suffix})"
            lines.append(f"| {name} | {family.type} | {labels} | {_cell(family.documentation)} |")
    return _page(lines)


def errors_page() -> str:
    """Describe the codes of FAILED images and of HTTP problems."""
    lines = [_ERRORS]
    lines += [
        f"| `{code.value}` | {'yes' if code in RETRYABLE else 'no'} | {_cell(text)} |"
        for code, text in MESSAGES.items()
    ]
    lines.append(_PROBLEMS)
    problems = sorted(PROBLEMS.items(), key=lambda item: (item[1][0], item[0].value))
    lines += [f"| {status} | `{code.value}` | {_cell(title)} |" for code, (status, title) in problems]
    return _page(lines)


def events_page() -> str:
    """Describe the lifecycle events: who publishes each, and its data."""
    lines = [_EVENTS]
    for kind in EventType:
        model = _model_of(kind)
        fields = ", ".join(f"`{name}`" for name in model.model_fields if name != "type")
        senders = ", ".join(f"`{user}`" for user in SENDERS.get(kind, ()))
        lines.append(f"| `{kind.value}` | {senders} | {_cell(_summary(model))} | {fields} |")
    return _page(lines)


def api_page() -> str:
    """Describe the API's addresses."""
    lines = [_API]
    for path, methods in create_routes().openapi()["paths"].items():
        for method, operation in methods.items():
            text = " ".join(operation["description"].partition("\n\n")[0].split())
            lines.append(f"| {method.upper()} | `{path}` | {_cell(text)} |")
    lines.append(f"| GET | `/metrics` | {_cell(_summary(health.metrics))} |")
    lines.append(_API_END)
    return _page(lines)


def openapi_document() -> str:
    """Return the description of the API, from which the web console's types are made."""
    return json.dumps(create_routes().openapi(), indent=1, ensure_ascii=False) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "errors.md": errors_page,
    "events.md": events_page,
    "api.md": api_page,
    "openapi.json": openapi_document,
}


def main() -> None:
    """Write the pages and print the names of those that changed."""
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"docs/reference/{name}\n")


def _common_settings() -> dict[str, FieldInfo]:
    """Return the settings that every service has with the same default and meaning."""
    first, *others = SERVICES.values()
    return {
        field: info
        for field, info in first.model_fields.items()
        if all(_row(field, info) == _row(field, other.model_fields.get(field)) for other in others)
    }


def _settings_table(fields: dict[str, FieldInfo]) -> list[str]:
    rows = [_row(field, info) for field, info in fields.items() if not (info.description or "").startswith("Tests")]
    return ["| variable | default | meaning |", "|---|---|---|", *rows]


def _row(field: str, info: FieldInfo | None) -> str:
    return f"| `{field.upper()}` | {_default(info)} | {_cell(info.description or '')} |" if info else ""


def _default(info: FieldInfo) -> str:
    default = info.default
    if info.default_factory is not None:
        return ""
    if default is PydanticUndefined:
        return "required"
    if hasattr(default, "get_secret_value"):
        default = default.get_secret_value()
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if default not in (None, "") else ""


def _metrics_of(modules: Iterable[ModuleType]) -> Iterator[MetricWrapperBase]:
    for module in modules:
        yield from (value for value in vars(module).values() if isinstance(value, MetricWrapperBase))


def _model_of(kind: EventType) -> Any:
    [model] = [model for model in get_args(LifecycleEvent) if model.model_fields["type"].default is kind]
    return model


def _summary(documented: Any) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split()).replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "/")


def _page(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
