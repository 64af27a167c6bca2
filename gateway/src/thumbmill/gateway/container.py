"""The services of the gateway: created in one place and closed in reverse order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from thumbmill.core.contracts.changes import CHANNEL
from thumbmill.core.contracts.limits import Policy
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.part_signer import PartSigner
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.access.authenticator import Authenticator
from thumbmill.gateway.access.keys import StaticKeys
from thumbmill.gateway.access.known_keys import KnownKeys
from thumbmill.gateway.access.sessions import SessionSigner
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.body_rate import BodyRateLimits
from thumbmill.gateway.http.object_responses import ObjectResponses
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.delivery import ImageDelivery
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.gateway.images.repository import ImageRepository
from thumbmill.gateway.images.tracker_client import TrackerClient
from thumbmill.gateway.limits.limiter import RateLimiter
from thumbmill.gateway.links.delivery import LinkDelivery
from thumbmill.gateway.links.signer import LinkSigner
from thumbmill.gateway.links.signing_keys import SigningKeys
from thumbmill.gateway.live.batches import Batches
from thumbmill.gateway.live.changes import ChangeFeed
from thumbmill.gateway.live.hub import Hub
from thumbmill.gateway.live.streams import Streams
from thumbmill.gateway.live.waits import Waits
from thumbmill.gateway.liveness import Liveness
from thumbmill.gateway.operations.orders import Orders
from thumbmill.gateway.operations.repository import OperationsRepository
from thumbmill.gateway.operations.summary import Summaries
from thumbmill.gateway.operations.system import SystemReports
from thumbmill.gateway.readiness import Readiness
from thumbmill.gateway.settings import Settings
from thumbmill.gateway.uploads.admission import AdmissionControl
from thumbmill.gateway.uploads.idempotency import EarlierUploads
from thumbmill.gateway.uploads.parts import PartUploads
from thumbmill.gateway.uploads.presigned import PresignedUploads
from thumbmill.gateway.uploads.service import UploadService
from thumbmill.gateway.uploads.tickets import PUBLISH_SECONDS, Tickets
from thumbmill.gateway.uploads.upload_tokens import UploadTokens
from thumbmill.gateway.web_console import Console, load_console

STORE_THREADS = 16  # for requests to the object store other than uploads
STORE_SECONDS = 10
PART_THREADS = 8  # to start, list, complete and abort uploads in parts


@dataclass(frozen=True)
class Operations:
    """What the routes for operators use."""

    repository: OperationsRepository
    summaries: Summaries
    system: SystemReports
    orders: Orders


@dataclass(frozen=True)
class Services:
    """The services that the routes use."""

    settings: Settings
    authenticator: Authenticator
    limiter: RateLimiter
    admission: AdmissionControl
    uploads: UploadService
    presigned_uploads: PresignedUploads
    part_uploads: PartUploads
    earlier_uploads: EarlierUploads
    repository: ImageRepository
    lookup: Lookup
    tracker: TrackerClient
    delivery: ImageDelivery
    links: LinkDelivery
    link_signer: LinkSigner | None  # None without signing keys
    storage: Storage
    executor: BoundedExecutor
    hub: Hub
    streams: Streams
    waits: Waits
    batches: Batches
    liveness: Liveness
    readiness: Readiness
    console: Console | None
    operations: Operations


@asynccontextmanager
async def create_services(settings: Settings) -> AsyncIterator[Services]:
    """Create the services. This sends no request, so dependencies may be unavailable."""
    slots = settings.max_concurrent_uploads
    limiter = RateLimiter(
        {
            Policy.REQUESTS: settings.max_requests_per_minute,
            Policy.TICKETS: settings.max_tickets_per_minute,
            Policy.BYTES: settings.max_bytes_per_day,
        }
    )
    async with AsyncExitStack() as stack:
        executor = BoundedExecutor("minio", STORE_THREADS, deadline_seconds=STORE_SECONDS)
        stack.callback(executor.close)
        storage = Storage(settings, connections=STORE_THREADS)

        database = Database(settings.database_url.get_secret_value())
        stack.push_async_callback(database.close)
        await database.open()
        repository = ImageRepository(database)
        earlier = EarlierUploads(repository, storage, executor)

        # No retries: a second PUT after a lost response would be a second generation of the image.
        upload_storage = Storage(settings, connections=slots, retries=0)
        upload_executor = BoundedExecutor("minio", slots, deadline_seconds=settings.upload_deadline_seconds)
        stack.callback(upload_executor.close)
        uploads = UploadService(
            upload_storage,
            upload_executor,
            slots=slots,
            max_bytes=settings.max_upload_bytes,
            deadline_seconds=settings.upload_deadline_seconds,
            limiter=limiter,
            rate_limits=BodyRateLimits(settings.min_body_rate, settings.body_deadline_seconds),
            earlier=earlier,
        )
        stack.push_async_callback(uploads.close)

        publisher = Publisher(settings, "gateway")
        publisher_executor = BoundedExecutor("rabbitmq", 1, deadline_seconds=PUBLISH_SECONDS)
        stack.callback(publisher_executor.close)
        stack.push_async_callback(_close_publisher, publisher, publisher_executor)
        signer = Storage(settings.signer, connections=1)
        part_signer = PartSigner(settings.part_signer, settings.form_url)
        tickets = Tickets(publisher, publisher_executor, limiter, settings.max_upload_bytes)
        presigned_uploads = PresignedUploads(
            signer=signer,
            tickets=tickets,
            form_url=settings.form_url,
            lifetime=timedelta(seconds=settings.ticket_lifetime_seconds),
            max_bytes=settings.max_upload_bytes,
        )
        # Threads of their own: while the broker accepts nothing, MinIO answers a completion late.
        part_executor = BoundedExecutor("minio", PART_THREADS, deadline_seconds=STORE_SECONDS)
        stack.callback(part_executor.close)
        part_uploads = PartUploads(
            storage=Storage(settings, connections=PART_THREADS, retries=0),
            executor=part_executor,
            signer=part_signer,
            tickets=tickets,
            tokens=UploadTokens(settings.part_signer_secret_key.get_secret_value()),
            max_bytes=settings.max_upload_bytes,
            earlier=earlier,
        )
        tracker = TrackerClient(publisher, publisher_executor, settings.retry_interval_seconds)
        stack.push_async_callback(tracker.close)
        stack.push_async_callback(_cancel, asyncio.create_task(tickets.keep_alive()))

        liveness = Liveness(database, repository)
        stack.push_async_callback(_cancel, asyncio.create_task(liveness.watch()))
        admission = AdmissionControl(
            repository, max_images=settings.max_queued_images, max_seconds=settings.max_queue_age_seconds
        )
        stack.push_async_callback(_cancel, asyncio.create_task(admission.watch()))
        # A connection of its own: clients that keep all others busy must not keep a revoked key valid.
        keys_database = Database(settings.database_url.get_secret_value(), connections=1)
        stack.push_async_callback(keys_database.close)
        await keys_database.open()
        known_keys = KnownKeys(keys_database)
        stack.push_async_callback(_cancel, asyncio.create_task(known_keys.watch()))
        authenticator = Authenticator(
            static_keys=StaticKeys(settings.keys),
            known_keys=known_keys,
            sessions=SessionSigner(settings.part_signer_secret_key.get_secret_value()),
            monitoring_key=settings.monitoring_key.get_secret_value(),
            allows_anonymous=not settings.requires_key,
        )
        object_responses = ObjectResponses(storage, executor)
        link_signer = _create_link_signer(settings)
        lookup = Lookup(repository, storage, executor)
        readiness = Readiness(
            settings, database, repository, storage, signer, part_signer, executor, publisher_executor, known_keys
        )
        operations = OperationsRepository(database)
        feed = ChangeFeed(database)
        hub = Hub(feed, partial(database.listen, CHANNEL), limiter, max_connections=settings.live_connections)
        stack.push_async_callback(_cancel, asyncio.create_task(hub.run()))
        yield Services(
            settings=settings,
            authenticator=authenticator,
            limiter=limiter,
            admission=admission,
            uploads=uploads,
            presigned_uploads=presigned_uploads,
            part_uploads=part_uploads,
            earlier_uploads=earlier,
            repository=repository,
            lookup=lookup,
            tracker=tracker,
            delivery=ImageDelivery(lookup, object_responses, tracker, is_public=authenticator.allows_anonymous),
            links=LinkDelivery(link_signer, object_responses),
            link_signer=link_signer,
            storage=storage,
            executor=executor,
            hub=hub,
            streams=Streams(hub, feed, lookup),
            waits=Waits(hub),
            batches=Batches(database),
            liveness=liveness,
            readiness=readiness,
            operations=Operations(
                repository=operations,
                summaries=Summaries(operations),
                system=SystemReports(operations, readiness, operator_actions=settings.operator_actions),
                orders=Orders(operations, publisher, publisher_executor, settings.operator_actions),
            ),
            console=load_console(settings),
        )


def _create_link_signer(settings: Settings) -> LinkSigner | None:
    keys = settings.signing_keys.get_secret_value()
    if not keys:
        return None
    return LinkSigner(SigningKeys(keys, settings.signing_keys_file), settings.signed_url_window_seconds)


async def _close_publisher(publisher: Publisher, publisher_executor: BoundedExecutor) -> None:
    with suppress(Exception):  # an unavailable broker must not delay the stop
        await publisher_executor.run(publisher.close)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
