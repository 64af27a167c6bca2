"""Whether the gateway can do its work: probes for people and for machines."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.publisher import connect
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import ImageRepository
from thumbmill.gateway.liveness import Liveness
from thumbmill.gateway.settings import Settings

SLOW_CHECK_SECONDS = 10  # what seldom changes is asked again after so long
CACHE_SECONDS = 1  # the rest, however many probes come
CHECK_TIMEOUT_SECONDS = 4

router = APIRouter(tags=["health"])


@dataclass
class Readiness:
    """Asks the servers that requests need, not more often than is of use."""

    settings: Settings
    database: Database
    repository: ImageRepository
    storage: Storage
    signer: Storage
    executor: BoundedExecutor
    publisher_executor: BoundedExecutor  # the publisher's
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: tuple[dict[str, str], dict[str, str]] = ({}, {})
    _until: float = 0
    _unversioned_until: float = 0
    _broker_until: float = 0

    async def ask(self) -> tuple[dict[str, str], dict[str, str]]:
        """Say what is away, and what is away without stopping uploads; each with its fault."""
        async with self._asking:
            if time.monotonic() >= self._until:
                database, store, broker = await asyncio.gather(
                    _error_of(self.repository.check()),
                    _error_of(self._check_store()),
                    _error_of(self._check_broker()),
                )
                unavailable = {"postgres": database, "minio": store}
                self._known = _faults(unavailable), _faults({"rabbitmq": broker})
                self._until = time.monotonic() + CACHE_SECONDS
            return self._known

    async def check_startup(self) -> dict[str, str]:
        """Say which servers are away. Raises Refused where one answers that no waiting will change."""
        checks = {
            "postgres": self.database.check_login(),
            "minio": self.executor.run(self.storage.check, ORIGINALS_BUCKET, VARIANTS_BUCKET),
            "minio for forms": self._check_signer(),
            "rabbitmq": self._check_broker(),
        }
        results = await asyncio.gather(*checks.values(), return_exceptions=True)
        for error in results:
            if isinstance(error, DependencyRejected) or (
                error is not None and not isinstance(error, DependencyUnavailable)
            ):
                raise error
        return {name: str(error) for name, error in zip(checks, results, strict=True) if error is not None}

    async def _check_signer(self) -> None:
        error = await self.executor.run(self.signer.verify_presigned_post, ORIGINALS_BUCKET, "uploads/check")
        if error:
            advice = "check UPLOAD_SIGNER_ACCESS_KEY, UPLOAD_SIGNER_SECRET_KEY and that user's policy"
            raise DependencyRejected("minio", f"{error}: {advice}")

    async def _check_store(self) -> None:
        await self.executor.run(self.storage.check, ORIGINALS_BUCKET, VARIANTS_BUCKET)
        if time.monotonic() < self._unversioned_until:
            return
        for bucket in (ORIGINALS_BUCKET, VARIANTS_BUCKET):
            if await self.executor.run(self.storage.is_versioned, bucket):
                raise DependencyUnavailable(
                    "minio", f"versioning is on in {bucket}: turn it off, it is not supported"
                )
        self._unversioned_until = time.monotonic() + SLOW_CHECK_SECONDS

    async def _check_broker(self) -> None:
        if time.monotonic() >= self._broker_until:
            await self.publisher_executor.run(_connect_once, self.settings)
            self._broker_until = time.monotonic() + SLOW_CHECK_SECONDS


@router.get("/health", summary="For people: the gateway answers")
async def answer() -> dict[str, str]:
    """Answer; nothing else is asked."""
    return {"status": "ok"}


@router.get("/livez", summary="For machines: 503 where only a restart helps", responses={503: {}})
async def live(request: Request) -> JSONResponse:
    """Say whether the gateway can still do its work once the servers that it needs are there."""
    liveness: Liveness = request.app.state.services.liveness
    if liveness.error:
        return JSONResponse({"status": "stuck", "error": liveness.error}, 503)
    return JSONResponse({"status": "ok"})


@router.get("/readyz", summary="Whether the servers that requests need are there", responses={503: {}})
async def ready(request: Request) -> JSONResponse:
    """Name what is away, and under `degraded` what only tickets need; to strangers, only whether anything is."""
    services = request.app.state.services
    unavailable, degraded = await services.readiness.ask()
    status = {"status": "not ready" if unavailable else "ok"}
    details = (
        {"unavailable": unavailable, "degraded": degraded}
        if services.api_keys.verify_operator(request.headers)
        else {}
    )
    return JSONResponse({**status, **details}, 503 if unavailable else 200)


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Show the metrics as Prometheus reads them."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _error_of(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await check
    except DependencyUnavailable as error:
        return str(error)
    except TimeoutError:
        return f"no answer in {CHECK_TIMEOUT_SECONDS} s"
    return ""


def _faults(found: dict[str, str]) -> dict[str, str]:
    return {name: error for name, error in found.items() if error}


def _connect_once(settings: Settings) -> None:
    connection = connect(settings, "gateway probe")
    with suppress(Exception):  # it answered, and that was the question
        connection.close()
