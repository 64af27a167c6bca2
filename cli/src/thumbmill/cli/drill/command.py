"""``thumbmill drill``: use a running system for a while, then check every upload."""

import random
import time
from contextlib import closing
from typing import Annotated, NoReturn

import httpx
import typer
from pydantic import ValidationError

from thumbmill.cli.console import INTERRUPTED, print_status
from thumbmill.cli.drill.checker import SystemUnresponsiveError
from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import History
from thumbmill.cli.drill.session import Plan, run
from thumbmill.cli.signals import raise_on_signals, stop_on_signals
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings

LOST, NOT_RUN = 1, 2  # exit codes
SETTLE_SECONDS = 1200  # by default the reconciler takes up to 16 minutes


def drill(
    *,
    url: Annotated[str, typer.Option(help="URL of the gateway.")] = "http://127.0.0.1:8000",
    api_key: Annotated[str, typer.Option(envvar="THUMBMILL_API_KEY", help="One of the gateway's API_KEYS.")] = "",
    s3_url: Annotated[str, typer.Option(help="URL of MinIO; with it, the clients also upload by S3.")] = "",
    s3_access_key: Annotated[
        str, typer.Option(help="Access key of a user who may write and delete originals.")
    ] = "",
    s3_secret_key: Annotated[
        str, typer.Option(envvar="THUMBMILL_S3_SECRET_KEY", help="Secret key of that user.")
    ] = "",
    minutes: Annotated[float, typer.Option(min=0, help="How long to upload.")] = 2,
    clients: Annotated[int, typer.Option(min=1, help="Number of concurrent clients.")] = 4,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds without progress after which an image counts as stuck.")
    ] = SETTLE_SECONDS,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the clients' random choices.", show_default="random")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not delete the uploaded images afterwards.")] = False,
) -> None:
    """Upload to a running system by every upload route, let it settle, and count what was lost.

    Meanwhile, inject faults yourself: kill services and servers, cut links, fill disks. Undo all of them before the
    time to settle is over; by default, reconciliation takes up to 16 minutes. Other clients may use the system at
    the same time. Counts that cannot be known from outside are printed as "not checked". Press Ctrl-C to end the
    uploads early, and again to abort the drill.

    Exit codes: 0 nothing was lost, 1 something was lost, 2 the drill could not run.
    """
    raise_on_signals()
    plan = Plan(seed if seed is not None else random.randrange(10**6), clients, settle)  # noqa: S311 - no secret
    access = Access(url.rstrip("/"), _open_store(s3_url, s3_access_key, s3_secret_key), api_key)
    _check_gateway(access)
    history = History()
    routes = "POST, upload forms and S3" if access.store else "POST and upload forms"
    _log(f"seed {plan.seed}; uploading by {routes} for {minutes:g} min")
    try:
        result = run(access, plan, history, lambda: _wait(60 * minutes), _log)
        print(result.report())  # noqa: T201 - the command's output
    except (SystemUnresponsiveError, DependencyUnavailable) as error:
        _exit_not_run(f"the uploads could not be checked: {error}")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if not keep:
            _log(f"{_delete_uploads(access, history)} images deleted")
    raise typer.Exit(LOST if result.failed_counts else 0)


def _wait(seconds: float) -> None:
    with stop_on_signals() as stop:
        stop.wait(seconds)


def _open_store(url: str, access_key: str, secret_key: str) -> Storage | None:
    if not url:
        return None
    if not (access_key and secret_key):
        _exit_not_run("--s3-url needs --s3-access-key, and --s3-secret-key or THUMBMILL_S3_SECRET_KEY")
    login = {"minio_url": url, "minio_access_key": access_key, "minio_secret_key": secret_key}
    try:
        store = Storage(StoreSettings.model_validate(login), retries=0)
        store.check(ORIGINALS_BUCKET)
    except ValidationError as error:
        _exit_not_run(f"--s3-url: {error.errors()[0]['msg']}")
    except DependencyUnavailable as error:
        _exit_not_run(f"--s3-url {url}: {error}")
    return store


def _check_gateway(access: Access) -> None:
    """Exit unless the gateway responds and accepts the API key."""
    try:
        with access.http() as http:
            response = http.get("/api/v1/images", params={"limit": 1})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _exit_not_run(f"--url {access.gateway}: {error}")
    if response.status_code in {401, 403}:
        _exit_not_run(f"--url {access.gateway}: an API key is required: set --api-key or THUMBMILL_API_KEY")
    if response.status_code != 200:
        _exit_not_run(f"--url {access.gateway}: GET /api/v1/images returned {response.status_code} instead of 200")


def _delete_uploads(access: Access, history: History) -> int:
    """Delete the uploaded images that can be found, and return how many."""
    deleted = 0
    with closing(access.http()) as http:
        for tracked in history:
            try:
                found = [tracked.image_id] if tracked.image_id else []
                if tracked.key:
                    items = http.get("/api/v1/images", params={"key": tracked.key}).json()["items"]
                    found = [item["id"] for item in items if item["status"] != "DELETED"]
                deleted += sum(http.delete(f"/api/v1/images/{image_id}").status_code == 202 for image_id in found)
            except (httpx.HTTPError, ValueError, KeyError):
                continue  # this image remains
    return deleted


def _log(text: str) -> None:
    print_status(f"{time.strftime('%H:%M:%S')} {text}")


def _exit_not_run(text: str) -> NoReturn:
    _log(text)
    raise typer.Exit(NOT_RUN)
