"""The commands of ``thumbmill tenants``: options, output, exit codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from thumbmill.cli.console import NOTHING_FOUND, UNAVAILABLE, WRONG_USE, exit_with, print_status
from thumbmill.cli.settings import TenantSettings, load_from_file
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.tenants import is_tenant_name, tenant_prefix
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.tenant_users import TenantUsers, user_of
from thumbmill.core.settings import SettingsError

app = typer.Typer(no_args_is_help=True, help="Manage the MinIO users of tenants, for S3 clients.")

Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Its name: 1 to 32 characters of a-z, 0-9 and -.")]


@app.command()
def create(tenant: Tenant) -> None:
    """Create the MinIO user of a tenant, and print its access key and its secret, which is shown only this once."""
    with _open(tenant) as users:
        if users.exists(tenant):
            exit_with(
                f"{tenant} has a user; `thumbmill tenants rotate {tenant}` gives it another secret", WRONG_USE
            )
        _print(tenant, users.write(tenant))


@app.command()
def rotate(tenant: Tenant) -> None:
    """Give the MinIO user of a tenant another secret, and print it. The old one is invalid at once."""
    with _open(tenant) as users:
        _require(users, tenant)
        _print(tenant, users.write(tenant))


@app.command()
def remove(tenant: Tenant) -> None:
    """Remove the MinIO user of a tenant. Its images and its API keys stay."""
    with _open(tenant) as users:
        _require(users, tenant)
        users.remove(tenant)
    print_status(f"{user_of(tenant)} is removed")


def _require(users: TenantUsers, tenant: str) -> None:
    if not users.exists(tenant):
        exit_with(f"{tenant} has no user: run `thumbmill tenants create {tenant}`", NOTHING_FOUND)


def _print(tenant: str, secret: str) -> None:
    print_status(f"objects of {tenant} are stored as {ORIGINALS_BUCKET}/{tenant_prefix(tenant)}...")
    typer.echo(f"access key: {user_of(tenant)}")
    typer.echo(f"secret key: {secret}")


@contextmanager
def _open(tenant: str) -> Iterator[TenantUsers]:
    if not is_tenant_name(tenant):
        exit_with("TENANT: use 1 to 32 characters of a-z, 0-9 and -, not beginning with -", WRONG_USE)
    try:
        settings = load_from_file(TenantSettings)
    except SettingsError as error:
        exit_with(str(error), WRONG_USE)
    password = settings.minio_root_password.get_secret_value()
    try:
        yield TenantUsers(settings.minio_url, settings.minio_root_user.get_secret_value(), password)
    except DependencyUnavailable as error:
        exit_with(str(error), UNAVAILABLE)
