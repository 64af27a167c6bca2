"""``thumbmill drill``: use a running system for a while, and count what became of all that was sent."""

import random
import time
from contextlib import closing
from typing import Annotated, NoReturn

import httpx
import typer
from pydantic import ValidationError

from thumbmill.cli.console import INTERRUPTED, print_status
from thumbmill.cli.drill.checker import NoAnswerError
from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import Ledger
from thumbmill.cli.drill.session import Plan, hold
from thumbmill.cli.signals import raise_on_signals, stop_on_signals
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings

LOST, NOT_HELD = 1, 2  # exit codes
SETTLE_SECONDS = 1200  # the reconciler takes up to 16 minutes, by default


def drill(
    *,
    url: Annotated[str, typer.Option(help="The gateway's address.")] = "http://127.0.0.1:8000",
    api_key: Annotated[str, typer.Option(envvar="THUMBMILL_API_KEY", help="A key of its API_KEYS.")] = "",
    s3_url: Annotated[str, typer.Option(help="MinIO's address; with it, the clients use S3 as well.")] = "",
    s3_access_key: Annotated[str, typer.Option(help="A user who may write and delete originals.")] = "",
    s3_secret_key: Annotated[str, typer.Option(envvar="THUMBMILL_S3_SECRET_KEY", help="The user's secret.")] = "",
    minutes: Annotated[float, typer.Option(min=0, help="How long to upload.")] = 2,
    clients: Annotated[int, typer.Option(min=1, help="Clients at once.")] = 4,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds without progress after which it is stuck.")
    ] = SETTLE_SECONDS,
    seed: Annotated[int | None, typer.Option(help="Decides what the clients do.", show_default="by chance")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave in place what was uploaded.")] = False,
) -> None:
    """Use a running system through its doors, let it settle, and count what was lost.

    To break it meanwhile is your part: kill services and servers, cut links, fill disks. Mend everything before the
    time to settle is over; what reconciliation has to put right takes up to 16 minutes by its defaults. Others may
    use the system at the same time. What cannot be seen from here is printed as "not looked at". Ctrl-C ends the
    uploads early, another one the drill.

    Exit codes: 0 nothing was lost, 1 something was, 2 the drill could not be held.
    """
    raise_on_signals()
    plan = Plan(seed if seed is not None else random.randrange(10**6), clients, settle)  # noqa: S311 - no secret
    access = Access(url.rstrip("/"), _open_store(s3_url, s3_access_key, s3_secret_key), api_key)
    _knock(access)
    ledger = Ledger()
    _say(f"seed {plan.seed}; uploading for {minutes:g} min {'by' if access.store else 'without'} S3, too")
    try:
        verdict = hold(access, plan, ledger, lambda: _wait(60 * minutes), _say)
        print(verdict.report())  # noqa: T201 - what was asked for
    except (NoAnswerError, DependencyUnavailable) as fault:
        _end(f"what became of it can't be found out: {fault}")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if not keep:
            _say(f"{_clear_away(access, ledger)} images deleted")
    raise typer.Exit(LOST if verdict.broken else 0)


def _wait(seconds: float) -> None:
    with stop_on_signals() as stop:
        stop.wait(seconds)


def _open_store(url: str, access_key: str, secret_key: str) -> Storage | None:
    if not url:
        return None
    if not (access_key and secret_key):
        _end("--s3-url takes --s3-access-key, and --s3-secret-key or THUMBMILL_S3_SECRET_KEY")
    login = {"minio_url": url, "minio_access_key": access_key, "minio_secret_key": secret_key}
    try:
        store = Storage(StoreSettings.model_validate(login), retries=0)
        store.check(ORIGINALS_BUCKET)
    except ValidationError as fault:
        _end(f"--s3-url: {fault.errors()[0]['msg']}")
    except DependencyUnavailable as fault:
        _end(f"--s3-url {url}: {fault}")
    return store


def _knock(access: Access) -> None:
    """Make sure that somebody is there and lets us in, before anything counts."""
    try:
        with access.http() as http:
            answer = http.get("/api/v1/images", params={"limit": 1})
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        _end(f"--url {access.gateway}: {fault}")
    if answer.status_code in {401, 403}:
        _end(f"--url {access.gateway}: it wants a key: give --api-key or THUMBMILL_API_KEY")
    if answer.status_code != 200:
        _end(f"--url {access.gateway}: no gateway that works, it answered {answer.status_code}")


def _clear_away(access: Access, ledger: Ledger) -> int:
    """Delete what was uploaded, as far as it can be found, and count it."""
    deleted = 0
    with closing(access.http()) as http:
        for slot in ledger:
            try:
                found = [slot.image_id] if slot.image_id else []
                if slot.key:
                    items = http.get("/api/v1/images", params={"key": slot.key}).json()["items"]
                    found = [item["id"] for item in items if item["status"] != "DELETED"]
                deleted += sum(http.delete(f"/api/v1/images/{image_id}").status_code == 202 for image_id in found)
            except (httpx.HTTPError, ValueError, KeyError):
                continue  # it stays
    return deleted


def _say(text: str) -> None:
    print_status(f"{time.strftime('%H:%M:%S')} {text}")


def _end(text: str) -> NoReturn:
    _say(text)
    raise typer.Exit(NOT_HELD)
