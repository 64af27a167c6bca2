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
from thumbmill.gateway.executor import Threads
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import Reader
from thumbmill.gateway.liveness import Liveness
from thumbmill.gateway.settings import Settings

RARELY_SECONDS = 10  # what seldom changes is asked again after so long
OFTEN_SECONDS = 1  # the rest, however many probes come
PROBE_SECONDS = 4

router = APIRouter(tags=["health"])


@dataclass
class Readiness:
    """Asks the servers that requests need, not more often than is of use."""

    settings: Settings
    database: Database
    reader: Reader
    storage: Storage
    signer: Storage
    threads: Threads
    thread: Threads  # the publisher's
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
                    _fault(self.reader.check()), _fault(self._check_store()), _fault(self._check_broker())
                )
                away = {"postgres": database, "minio": store}
                self._known = _faults(away), _faults({"rabbitmq": broker})
                self._until = time.monotonic() + OFTEN_SECONDS
            return self._known

    async def check_start(self) -> dict[str, str]:
        """Say which servers are away. Raises Refused where one answers that no waiting will change."""
        checks = {
            "postgres": self.database.check_login(),
            "minio": self.threads.run(self.storage.check, ORIGINALS_BUCKET, VARIANTS_BUCKET),
            "minio for forms": self._check_signer(),
            "rabbitmq": self._check_broker(),
        }
        results = await asyncio.gather(*checks.values(), return_exceptions=True)
        for fault in results:
            if isinstance(fault, DependencyRejected) or (
                fault is not None and not isinstance(fault, DependencyUnavailable)
            ):
                raise fault
        return {name: str(fault) for name, fault in zip(checks, results, strict=True) if fault is not None}

    async def _check_signer(self) -> None:
        fault = await self.threads.run(self.signer.verify_presigned_post, ORIGINALS_BUCKET, "uploads/check")
        if fault:
            advice = "check UPLOAD_SIGNER_ACCESS_KEY, UPLOAD_SIGNER_SECRET_KEY and that user's policy"
            raise DependencyRejected("minio", f"{fault}: {advice}")

    async def _check_store(self) -> None:
        await self.threads.run(self.storage.check, ORIGINALS_BUCKET, VARIANTS_BUCKET)
        if time.monotonic() < self._unversioned_until:
            return
        for bucket in (ORIGINALS_BUCKET, VARIANTS_BUCKET):
            if await self.threads.run(self.storage.is_versioned, bucket):
                raise DependencyUnavailable(
                    "minio", f"versioning is on in {bucket}: turn it off, it is not supported"
                )
        self._unversioned_until = time.monotonic() + RARELY_SECONDS

    async def _check_broker(self) -> None:
        if time.monotonic() >= self._broker_until:
            await self.thread.run(_connect_once, self.settings)
            self._broker_until = time.monotonic() + RARELY_SECONDS


@router.get("/health", summary="For people: the gateway answers")
async def answer() -> dict[str, str]:
    """Answer; nothing else is asked."""
    return {"status": "ok"}


@router.get("/livez", summary="For machines: 503 where only a restart helps", responses={503: {}})
async def live(request: Request) -> JSONResponse:
    """Say whether the gateway can still do its work once the servers that it needs are there."""
    liveness: Liveness = request.app.state.parts.liveness
    if liveness.fault:
        return JSONResponse({"status": "stuck", "fault": liveness.fault}, 503)
    return JSONResponse({"status": "ok"})


@router.get("/readyz", summary="Whether the servers that requests need are there", responses={503: {}})
async def ready(request: Request) -> JSONResponse:
    """Name what is away, and under `degraded` what only tickets need; to strangers, only whether anything is."""
    parts = request.app.state.parts
    away, degraded = await parts.readiness.ask()
    status = {"status": "not ready" if away else "ok"}
    details = {"away": away, "degraded": degraded} if parts.access.admits_operator(request.headers) else {}
    return JSONResponse({**status, **details}, 503 if away else 200)


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Show the metrics as Prometheus reads them."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _fault(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await check
    except DependencyUnavailable as fault:
        return str(fault)
    except TimeoutError:
        return f"no answer in {PROBE_SECONDS} s"
    return ""


def _faults(found: dict[str, str]) -> dict[str, str]:
    return {name: fault for name, fault in found.items() if fault}


def _connect_once(settings: Settings) -> None:
    connection = connect(settings, "gateway probe")
    with suppress(Exception):  # it answered, and that was the question
        connection.close()
