"""The clients of the backlog benchmark: one group uploads, one client reads statuses."""

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
from minio import Minio
from PIL import Image

from benchmarks.installation import gateway_url
from devstack.stack import Stack

AT_ONCE = 8  # uploads
READ_SECONDS = 0.05  # between two status reads of one client: the load should come from the rest


@contextmanager
def uploads(store: Minio, folder: str, images: int) -> Iterator[None]:
    """Put this many different images into the bucket while the block runs; afterwards wait for the last."""
    base, lock, numbers = draw_image(), threading.Lock(), iter(range(images))

    def put() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            key = f"{folder}/{number:07}.jpg"
            data = add_comment(base, key)
            store.put_object("images-original", key, io.BytesIO(data), len(data), content_type="image/jpeg")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        clients = [pool.submit(put) for _ in range(AT_ONCE)]
        try:
            yield
        finally:
            with lock:
                numbers = iter(())
        for client in clients:
            client.result()


@contextmanager
def read_statuses(stack: Stack, ids: list[str]) -> Iterator[list[float]]:
    """Read the status of one image after the other while the block runs; collect the milliseconds."""
    milliseconds: list[float] = []
    stop = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=gateway_url(stack), timeout=60, trust_env=False) as client:
            while not stop.wait(READ_SECONDS):
                started = time.perf_counter()
                client.get(f"/api/v1/images/{ids[len(milliseconds) % len(ids)]}").raise_for_status()
                milliseconds.append((time.perf_counter() - started) * 1000)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            yield milliseconds
        finally:
            stop.set()
        reader.result()


def draw_image() -> bytes:
    """Return a JPEG of 320 x 240 in 34 kB, which takes as long to decode as a photo of its size."""
    file = io.BytesIO()
    Image.effect_noise((320, 240), 40).save(file, "JPEG", quality=75)
    return file.getvalue()


def add_comment(data: bytes, text: str) -> bytes:
    """Return a JPEG with a comment, so that its bytes are unique."""
    comment = text.encode()
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
