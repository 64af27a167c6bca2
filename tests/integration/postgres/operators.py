"""What tests of operators' numbers and orders share."""

import asyncio

from tests.integration.postgres.messages import (
    head,
    lifecycle_message,
    notification,
)
from tests.unit.tracker import event_factory
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.identity import new_image_id, upload_key
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import LIFECYCLE
from thumbmill.gateway.images.database import Database as GatewayDatabase
from thumbmill.gateway.operations.repository import OperationsRepository

EXHAUSTED, UNREADABLE = ErrorCode.ATTEMPTS_EXHAUSTED, ErrorCode.UNREADABLE_IMAGE


def system_message(data, sender, at=None):
    event = to_cloud_event(data, by=sender, now=at)
    return Message(event.to_json(), event.type.value, CONTENT_TYPE, exchange=LIFECYCLE, sender=sender)


def ask(database, question):
    """Ask the views as the gateway does."""

    async def run():
        opened = GatewayDatabase(database.gateway)
        await opened.open()
        try:
            return await question(OperationsRepository(opened))
        finally:
            await opened.close()

    return asyncio.run(run())


def fail(tracker, publications, bucket, code=EXHAUSTED):
    key = upload_key(new_image_id())
    bucket.heads[key] = head()
    failed = lifecycle_message(event_factory.failed(key=key, code=code))
    tracker.handle([notification(key=key), failed], publications)
    return key
