"""The clients: photos sent through a door, several at a time, each upload timed."""

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
    """One photo on its way; times are seconds since 1970."""

    photo: int
    started: float = field(default_factory=time.time)
    answered: float = 0.0
    image_id: str = ""
    fault: str = ""


class Client:
    """Sends the corpus in turn; bodies are made ahead of the clock, where the door allows it."""

    def __init__(self, session: aiohttp.ClientSession, gateway: str, photos: list[Photo], door: str) -> None:
        self._session = session
        self._gateway = gateway
        self._bytes = [photo.path.read_bytes() for photo in photos]
        self._forms = [b"".join(_form({}, data)) for data in self._bytes]
        self._doors: dict[str, Callable[[int], Awaitable[str]]] = {"post": self._post, "presigned": self._presigned}
        self._send = self._doors[door]

    async def upload(self, number: int) -> Upload:
        """Send one photo; a fault is recorded, not raised."""
        upload = Upload(number % len(self._bytes))
        try:
            upload.image_id = await self._send(upload.photo)
        except (aiohttp.ClientError, TimeoutError) as fault:
            upload.fault = f"{type(fault).__name__}: {fault}"[:200]
        upload.answered = time.time()
        return upload

    async def upload_all(self, count: int, at_once: int) -> list[Upload]:
        """Send ``count`` photos, ``at_once`` at a time."""
        numbers, uploads = itertools.count(), list[Upload]()

        async def lane() -> None:
            while (number := next(numbers)) < count:
                uploads.append(await self.upload(number))

        await asyncio.gather(*(lane() for _ in range(at_once)))
        return uploads

    async def _post(self, photo: int) -> str:
        async with self._session.post(
            f"{self._gateway}/api/v1/images", data=self._forms[photo], headers=_form_headers()
        ) as answer:
            return str((await _json(answer, 202))["id"])

    async def _presigned(self, photo: int) -> str:
        wish = {"file_name": "photo.jpg", "content_type": "image/jpeg"}
        async with self._session.post(f"{self._gateway}/api/v1/uploads", json=wish) as answer:
            ticket = await _json(answer, 201)
        body = _form(ticket["form"]["fields"], self._bytes[photo])
        headers = {**_form_headers(), "Content-Length": str(sum(map(len, body)))}
        async with self._session.post(ticket["form"]["url"], data=_send_all(body), headers=headers) as answer:
            if answer.status not in {200, 201, 204}:
                raise aiohttp.ClientError(f"{answer.status} {(await answer.text())[:200]}")
        return str(ticket["id"])


async def _json(answer: aiohttp.ClientResponse, expected: int) -> dict[str, Any]:
    if answer.status != expected:
        raise aiohttp.ClientError(f"{answer.status} {(await answer.text())[:200]}")
    content: dict[str, Any] = await answer.json()
    return content


def _form_headers() -> dict[str, str]:
    return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def _send_all(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _form(fields: dict[str, str], data: bytes) -> list[bytes]:
    """Lay out a form in pieces: to join them would copy the photo, in the machine's time that is measured."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return [("".join(parts) + file).encode(), data, f"\r\n--{BOUNDARY}--\r\n".encode()]
