"""The commands of ``thumbmill keys``: options, output, exit codes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from thumbmill.cli.console import NOTHING_FOUND, UNAVAILABLE, WRONG_USE, exit_with, open_console, print_status
from thumbmill.cli.durations import parse_duration
from thumbmill.cli.keys.database import Grant, KeyStore, RevokedKeyError, UnknownKeyError, open_keys
from thumbmill.cli.keys.table import describe_expiry, tabulate_history, tabulate_keys
from thumbmill.cli.settings import KeySettings, load_from_file
from thumbmill.core.contracts.api_keys import Scope, make_key
from thumbmill.core.contracts.limits import Policy
from thumbmill.core.contracts.tenants import DEFAULT_TENANT, is_tenant_name
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.settings import SettingsError

app = typer.Typer(no_args_is_help=True, help="Manage the API keys of clients.")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The id of a key: the part behind tm_live_.")]
Expires = Annotated[str, typer.Option("--expires", metavar="DURATION", help="The key ends after 12h, 90d, ...")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option("--name", help="Who or what uses the key; it appears as the actor.")],
    scopes: Annotated[str, typer.Option("--scope", help=f"What it may do, comma separated: {', '.join(Scope)}.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whose images it sees; default: the default tenant.")] = (
        DEFAULT_TENANT
    ),
    expires: Expires = "",
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="POLICY=N", help=f"Repeat it; 0 is none. {', '.join(Policy)}."),
    ] = None,
) -> None:
    """Create a key and print it. It is shown only this once."""
    grant = Grant(
        tenant=_check_tenant(tenant),
        name=_check_name(name),
        scopes=_parse_scopes(scopes),
        expires_at=_parse_expiry(expires),
        limits=dict(map(_parse_limit, limits or [])),
    )
    key = make_key()
    with _open() as keys:
        keys.add(key, grant)
    print_status(f"key {key.id} of {grant.name}: {', '.join(grant.scopes)}; {describe_expiry(grant.expires_at)}")
    typer.echo(key.text)


@app.command("list")
def list_keys(
    *,
    ended: Annotated[bool, typer.Option("--all", help="Also those that have expired or are revoked.")] = False,
) -> None:
    """List the keys, without their secrets."""
    now = datetime.now(UTC)
    with _open() as keys:
        found = [key for key in keys.list_all() if ended or key.is_active(now)]
    if not found:
        exit_with("there is no key", NOTHING_FOUND)
    open_console().print(tabulate_keys(found, now))


@app.command()
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="DURATION", help="How long the old key stays valid: 0s, 24h, 7d.")
    ],
    expires: Expires = "",
) -> None:
    """Create a key that allows the same as another, print it, and let the other one expire after the overlap.

    Without --expires the new key never expires.
    """
    duration = _parse_duration("--overlap", overlap)
    expires_at = _parse_expiry(expires)
    successor = make_key()
    with _open() as keys:
        old = keys.rotate(key_id, successor, expires_at, duration)
    print_status(
        f"key {successor.id} replaces {old.id}, which {describe_expiry(old.expires_at)}; the new one "
        f"{describe_expiry(expires_at)}"
    )
    typer.echo(successor.text)


@app.command()
def revoke(key_id: KeyId) -> None:
    """Revoke a key for good, together with its sessions. Every gateway rejects it within 5 seconds."""
    with _open() as keys:
        revoked = keys.revoke(key_id)
    print_status(f"key {revoked.id} of {revoked.name} is revoked")


@app.command()
def history(
    key_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only changes of this key.")] = None,
) -> None:
    """List who created, rotated and revoked keys."""
    with _open() as keys:
        events = keys.read_history(key_id)
    if not events:
        exit_with("no key was ever changed" if key_id is None else f"no key has the id {key_id}", NOTHING_FOUND)
    open_console().print(tabulate_history(events))


@contextmanager
def _open() -> Iterator[KeyStore]:
    try:
        settings = load_from_file(KeySettings)
    except SettingsError as error:
        exit_with(str(error), WRONG_USE)
    url = settings.key_keeper_database_url.get_secret_value()
    try:
        with open_keys(url, f"cli:{settings.thumbmill_operator}") as keys:
            yield keys
    except UnknownKeyError as error:
        exit_with(f"no key has the id {error}", NOTHING_FOUND)
    except RevokedKeyError as error:
        exit_with(f"key {error} is revoked already", WRONG_USE)
    except DependencyUnavailable as error:
        exit_with(f"{error} (KEY_KEEPER_DATABASE_URL)", UNAVAILABLE)


def _check_tenant(tenant: str) -> str:
    if tenant != DEFAULT_TENANT and not is_tenant_name(tenant):
        exit_with("--tenant: use 1 to 32 characters of a-z, 0-9 and -, not beginning with -", WRONG_USE)
    return tenant


def _check_name(name: str) -> str:
    if not name.isprintable() or not 1 <= len(name) <= 100:
        exit_with("--name: use 1 to 100 printable characters", WRONG_USE)
    return name


def _parse_scopes(text: str) -> list[str]:
    wanted = {scope.strip() for scope in text.split(",") if scope.strip()}
    if unknown := sorted(wanted - set(Scope)):
        exit_with(f"--scope: unknown: {', '.join(unknown)}; known scopes: {', '.join(Scope)}", WRONG_USE)
    if not wanted:
        exit_with(f"--scope: name at least one of {', '.join(Scope)}", WRONG_USE)
    return [scope.value for scope in Scope if scope in wanted]


def _parse_limit(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in set(Policy) or not re.fullmatch("[0-9]{1,15}", number):
        exit_with(f"--limit: use POLICY=NUMBER, with one of {', '.join(Policy)}", WRONG_USE)
    return name, int(number)


def _parse_expiry(text: str) -> datetime | None:
    return datetime.now(UTC) + _parse_duration("--expires", text) if text else None


def _parse_duration(option: str, text: str) -> timedelta:
    duration = parse_duration(text)
    if duration is None:
        exit_with(f"{option}: use 30m, 24h or 90d", WRONG_USE)
    return duration
