"""The clients: they upload photos by one route, several at a time, and time each upload."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.corpus import Photo

BOUNDARY = uuid.uuid4().hex


@dataclass
class Upload:
    """One upload; times are seconds since 1970."""

    photo: int
    started: float = field(default_factory=time.time)
    answered: float = 0.0
    image_id: str = ""
    error: str = ""


class Client:
    """Uploads the photos of the corpus in turn; bodies are built before the measurement, if the route allows it."""

    def __init__(self, session: aiohttp.ClientSession, gateway: str, photos: list[Photo], route: str) -> None:
        self._session = session
        self._gateway = gateway
        self._bytes = [photo.path.read_bytes() for photo in photos]
        self._forms = [b"".join(_form({}, data)) for data in self._bytes]
        self._senders: dict[str, Callable[[int], Awaitable[str]]] = {
            "post": self._post,
            "presigned": self._presigned,
        }
        self._send = self._senders[route]

    async def upload(self, number: int) -> Upload:
        """Upload one photo. Errors are recorded, not raised."""
        upload = Upload(number % len(self._bytes))
        try:
            upload.image_id = await self._send(upload.photo)
        except (aiohttp.ClientError, TimeoutError) as error:
            upload.error = f"{type(error).__name__}: {error}"[:200]
        upload.answered = time.time()
        return upload

    async def upload_and_wait(self, number: int) -> float | None:
        """Upload one photo with `Prefer: wait`; return the seconds to the response, None if it is not DONE."""
        started = time.perf_counter()
        headers = {**_form_headers(), "Prefer": "wait=30"}
        form = self._forms[number % len(self._forms)]
        async with self._session.post(f"{self._gateway}/api/v1/images", data=form, headers=headers) as response:
            body = await response.json()
        return time.perf_counter() - started if response.status == 201 and body["status"] == "DONE" else None

    async def upload_all(self, count: int, at_once: int) -> list[Upload]:
        """Upload ``count`` photos, ``at_once`` at a time."""
        numbers, uploads = itertools.count(), list[Upload]()

        async def client() -> None:
            while (number := next(numbers)) < count:
                uploads.append(await self.upload(number))

        await asyncio.gather(*(client() for _ in range(at_once)))
        return uploads

    async def _post(self, photo: int) -> str:
        async with self._session.post(
            f"{self._gateway}/api/v1/images", data=self._forms[photo], headers=_form_headers()
        ) as response:
            return str((await _json(response, 202))["id"])

    async def _presigned(self, photo: int) -> str:
        request = {"file_name": "photo.jpg", "content_type": "image/jpeg"}
        async with self._session.post(f"{self._gateway}/api/v1/uploads", json=request) as response:
            ticket = await _json(response, 201)
        body = _form(ticket["form"]["fields"], self._bytes[photo])
        headers = {**_form_headers(), "Content-Length": str(sum(map(len, body)))}
        async with self._session.post(ticket["form"]["url"], data=_send_all(body), headers=headers) as response:
            if response.status not in {200, 201, 204}:
                raise aiohttp.ClientError(f"{response.status} {(await response.text())[:200]}")
        return str(ticket["id"])


async def _json(response: aiohttp.ClientResponse, expected: int) -> dict[str, Any]:
    if response.status != expected:
        raise aiohttp.ClientError(f"{response.status} {(await response.text())[:200]}")
    content: dict[str, Any] = await response.json()
    return content


def _form_headers() -> dict[str, str]:
    return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def _send_all(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _form(fields: dict[str, str], data: bytes) -> list[bytes]:
    """Return a form in pieces: joining them would copy the photo during the measurement."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return [("".join(parts) + file).encode(), data, f"\r\n--{BOUNDARY}--\r\n".encode()]
