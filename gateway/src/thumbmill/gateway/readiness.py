"""Readiness: which dependencies of the gateway are unavailable."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.publisher import connect
from thumbmill.core.object_store.part_signer import PartSigner
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.access.known_keys import KnownKeys
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import ImageRepository
from thumbmill.gateway.settings import Settings

CACHE_SECONDS = 1  # however many probes arrive
SLOW_CACHE_SECONDS = 10  # for checks whose result rarely changes
TIMEOUT_SECONDS = 4
UNKNOWN_KEYS = "the API keys in the database have not been read yet, or not for a quarter of an hour"


@dataclass(frozen=True)
class ReadinessReport:
    """Errors of dependencies by name."""

    unavailable: dict[str, str] = field(default_factory=dict)
    degraded: dict[str, str] = field(default_factory=dict)  # only tickets and retries need these


@dataclass
class Readiness:
    """Checks the dependencies of requests and caches the result."""

    settings: Settings
    database: Database
    repository: ImageRepository
    storage: Storage
    signer: Storage
    part_signer: PartSigner
    executor: BoundedExecutor
    publisher_executor: BoundedExecutor
    known_keys: KnownKeys
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _report: ReadinessReport = field(default_factory=ReadinessReport)
    _report_expires: float = 0
    _versioning_expires: float = 0
    _broker_expires: float = 0

    async def check(self) -> ReadinessReport:
        """Return which dependencies are unavailable."""
        async with self._lock:
            if time.monotonic() >= self._report_expires:
                database, store, broker = await asyncio.gather(
                    _error_of(self.repository.check()),
                    _error_of(self._check_store()),
                    _error_of(self._check_broker()),
                )
                self._report = ReadinessReport(
                    unavailable=_without_empty(
                        {"postgres": database, "minio": store, "keys": self._error_of_keys(database)}
                    ),
                    degraded=_without_empty({"rabbitmq": broker}),
                )
                self._report_expires = time.monotonic() + CACHE_SECONDS
            return self._report

    def _error_of_keys(self, database: str) -> str:
        return "" if database or self.known_keys.is_known else UNKNOWN_KEYS

    async def check_startup(self) -> dict[str, str]:
        """Return the errors of unavailable dependencies. Raise DependencyRejected if waiting cannot fix one."""
        checks = {
            "postgres": self.database.check_login(),
            "minio": self.executor.run(self.storage.check, ORIGINALS_BUCKET, VARIANTS_BUCKET),
            "minio (upload forms)": self._check_signer(),
            "minio (parts)": self._check_part_signer(),
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
        try:
            await self.executor.run(self.signer.verify_presigned_post, ORIGINALS_BUCKET, "uploads/check")
        except DependencyRejected as error:
            advice = "check UPLOAD_SIGNER_ACCESS_KEY, UPLOAD_SIGNER_SECRET_KEY and the policy of that user"
            raise DependencyRejected("minio", f"{error}: {advice}") from error

    async def _check_part_signer(self) -> None:
        try:
            await self.executor.run(self.part_signer.verify, ORIGINALS_BUCKET, "uploads/check")
        except DependencyRejected as error:
            advice = "check PART_SIGNER_ACCESS_KEY, PART_SIGNER_SECRET_KEY and the policy of that user"
            raise DependencyRejected("minio", f"{error}: {advice}") from error

    async def _check_store(self) -> None:
        await self.executor.run(self.storage.check, ORIGINALS_BUCKET, VARIANTS_BUCKET)
        if time.monotonic() < self._versioning_expires:
            return
        for bucket in (ORIGINALS_BUCKET, VARIANTS_BUCKET):
            if await self.executor.run(self.storage.is_versioned, bucket):
                raise DependencyUnavailable(
                    "minio", f"versioning is on in {bucket}: turn it off, it is not supported"
                )
        self._versioning_expires = time.monotonic() + SLOW_CACHE_SECONDS

    async def _check_broker(self) -> None:
        if time.monotonic() >= self._broker_expires:
            await self.publisher_executor.run(_connect_once, self.settings)
            self._broker_expires = time.monotonic() + SLOW_CACHE_SECONDS


async def _error_of(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await check
    except DependencyUnavailable as error:
        return str(error)
    except TimeoutError:
        return f"no answer in {TIMEOUT_SECONDS} s"
    return ""


def _without_empty(errors: dict[str, str]) -> dict[str, str]:
    return {name: error for name, error in errors.items() if error}


def _connect_once(settings: Settings) -> None:
    connection = connect(settings, "gateway probe")
    with suppress(Exception):  # the broker has answered, which is all that matters
        connection.close()
