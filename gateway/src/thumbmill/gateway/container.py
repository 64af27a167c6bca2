"""Everything the gateway is made of, built in one place and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.auth import Access
from thumbmill.gateway.executor import Threads
from thumbmill.gateway.health import Readiness
from thumbmill.gateway.http.body_rate import Limits
from thumbmill.gateway.http.token_bucket import Rate
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.delivery import Variants
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.gateway.images.repository import Reader
from thumbmill.gateway.images.requests import Requests
from thumbmill.gateway.liveness import Liveness
from thumbmill.gateway.settings import Settings
from thumbmill.gateway.uploads.admission import Backlog
from thumbmill.gateway.uploads.presigned import PUBLISH_SECONDS, Tickets
from thumbmill.gateway.uploads.service import Uploads

READERS = 16  # threads that ask the store and read from it
ASK_SECONDS = 10


@dataclass(frozen=True)
class Services:
    """What the routes use."""

    settings: Settings
    access: Access
    backlog: Backlog
    uploads: Uploads
    tickets: Tickets
    reader: Reader
    lookup: Lookup
    requests: Requests
    variants: Variants
    storage: Storage
    threads: Threads
    liveness: Liveness
    readiness: Readiness


@asynccontextmanager
async def create_services(settings: Settings) -> AsyncIterator[Services]:
    """Build the gateway; nothing is asked of anybody yet, so servers may be away."""
    places = settings.max_concurrent_uploads
    async with AsyncExitStack() as closing:
        threads = Threads("minio", READERS, deadline_seconds=ASK_SECONDS)
        closing.callback(threads.close)
        storage = Storage(settings, connections=READERS)

        # Never sent twice: a second PUT after a late answer would be a second generation of the image.
        sender = Storage(settings, connections=places, retries=0)
        senders = Threads("minio", places, deadline_seconds=settings.upload_deadline_seconds)
        closing.callback(senders.close)
        uploads = Uploads(
            sender,
            senders,
            places=places,
            max_bytes=settings.max_upload_bytes,
            deadline_seconds=settings.upload_deadline_seconds,
            pace=Limits(settings.min_body_rate, settings.body_deadline_seconds),
        )
        closing.push_async_callback(uploads.close)

        publisher = Publisher(settings, "gateway")
        thread = Threads("rabbitmq", 1, deadline_seconds=PUBLISH_SECONDS)
        closing.callback(thread.close)
        closing.push_async_callback(_close_publisher, publisher, thread)
        signer = Storage(settings.signer, connections=1)
        tickets = Tickets(
            signer=signer,
            publisher=publisher,
            thread=thread,
            form_url=settings.form_url,
            lifetime=timedelta(seconds=settings.ticket_lifetime_seconds),
            max_bytes=settings.max_upload_bytes,
            rate=Rate(settings.max_tickets_per_minute),
        )
        requests = Requests(publisher, thread, settings.retry_interval_seconds)
        closing.push_async_callback(requests.close)
        heart = asyncio.create_task(tickets.keep_alive())
        closing.push_async_callback(_end, heart)

        database = Database(settings.database_url.get_secret_value())
        closing.push_async_callback(database.close)
        await database.open()
        reader = Reader(database)
        liveness = Liveness(database, reader)
        closing.push_async_callback(_end, asyncio.create_task(liveness.watch()))
        backlog = Backlog(
            reader, most_images=settings.max_queued_images, most_seconds=settings.max_queue_age_seconds
        )
        closing.push_async_callback(_end, asyncio.create_task(backlog.watch()))
        access = Access(settings.keys, settings.monitoring_key.get_secret_value())
        lookup = Lookup(reader, storage, threads)
        yield Services(
            settings=settings,
            access=access,
            backlog=backlog,
            uploads=uploads,
            tickets=tickets,
            reader=reader,
            lookup=lookup,
            requests=requests,
            variants=Variants(lookup, storage, threads, requests, is_public=access.is_open),
            storage=storage,
            threads=threads,
            liveness=liveness,
            readiness=Readiness(settings, database, reader, storage, signer, threads, thread),
        )


async def _close_publisher(publisher: Publisher, thread: Threads) -> None:
    with suppress(Exception):  # a broker that is away is no reason to stay
        await thread.run(publisher.close)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
