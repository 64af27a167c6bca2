"""An object store in memory, and requests without a connection."""

import asyncio
import threading
from contextlib import contextmanager

from starlette.requests import Request

from thumbmill.core.object_store.errors import ObjectNotFoundError, PreconditionFailedError
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.body_rate import BodyRateLimits
from thumbmill.gateway.limits.limiter import RateLimiter
from thumbmill.gateway.uploads.service import UploadService

NO_LIMITS = RateLimiter({})


class FakeStorage:
    """Stores objects and unfinished multipart uploads."""

    def __init__(self):
        self.objects = {}
        self.unfinished = {}
        self.error = None  # raised by the next call
        self.gate = threading.Event()  # every call waits for it
        self.gate.set()

    def _pass(self):
        self.gate.wait()
        if self.error:
            raise self.error

    def put(self, bucket, key, data, content_type, metadata, *, if_absent=False):
        self._pass()
        self._check(bucket, key, if_absent)
        self.objects[bucket, key] = (data, content_type, metadata)

    def create_multipart_upload(self, bucket, key, content_type, metadata, *, if_absent=False):
        self._pass()
        self._check(bucket, key, if_absent)
        self.unfinished[bucket, key, "an upload"] = ([], content_type, metadata)
        return "an upload"

    def upload_part(self, bucket, key, upload, number, data):
        self._pass()
        parts = self.unfinished[bucket, key, upload][0]
        parts.append(data)
        assert number == len(parts)
        return number

    def complete_multipart_upload(self, bucket, key, upload, parts, *, if_absent=False):
        self._pass()
        self._check(bucket, key, if_absent)
        sent, content_type, metadata = self.unfinished.pop((bucket, key, upload))
        assert parts == list(range(1, len(sent) + 1))
        self.objects[bucket, key] = (b"".join(sent), content_type, metadata)

    def abort_multipart_upload(self, bucket, key, upload):
        del self.unfinished[bucket, key, upload]

    def head(self, bucket, key):
        self._pass()
        if (bucket, key) not in self.objects:
            raise ObjectNotFoundError(key)
        return self.objects[bucket, key]

    def _check(self, bucket, key, if_absent):
        if if_absent and (bucket, key) in self.objects:
            raise PreconditionFailedError(key)


class Namespace:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class App:
    def __init__(self, **services):
        self.state = Namespace(services=Namespace(**services))


def make_request(chunks, headers, *, complete=True, stuck=False):
    """Return a request whose body arrives in these chunks; an incomplete one ends with a disconnect."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if complete:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    else:
        messages.append({"type": "http.disconnect"})

    async def receive():
        if stuck:
            await asyncio.Event().wait()
        return messages.pop(0)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/images",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "query_string": b"",
        "app": App(settings=Namespace(public_url="http://here")),
    }
    request = Request(scope, receive)
    request.unread = messages
    return request


@contextmanager
def uploads_into(
    storage,
    *,
    slots=2,
    max_bytes=20_000_000,
    deadline_seconds=5,
    limiter=NO_LIMITS,
    rate_limits=BodyRateLimits(),  # noqa: B008
):
    executor = BoundedExecutor("minio", slots, deadline_seconds=deadline_seconds)
    try:
        yield UploadService(
            storage,
            executor,
            slots=slots,
            max_bytes=max_bytes,
            deadline_seconds=deadline_seconds,
            limiter=limiter,
            rate_limits=rate_limits,
            earlier=None,  # needed for idempotency keys only
        )
    finally:
        storage.gate.set()
        executor.close()
