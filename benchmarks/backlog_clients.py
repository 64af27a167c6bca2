"""Who fills the queue of a backlog, and who reads status meanwhile."""

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
READ_SECONDS = 0.05  # between two status reads, which one client makes: what is measured is the rest


@contextmanager
def putting(store: Minio, folder: str, images: int) -> Iterator[None]:
    """Put so many pictures into the bucket beside what goes on, no two alike; wait for the last in the end."""
    base, lock, numbers = draw(), threading.Lock(), iter(range(images))

    def put() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            key = f"{folder}/{number:07}.jpg"
            data = mark(base, key)
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
def reading(stack: Stack, ids: list[str]) -> Iterator[list[float]]:
    """Read the status of one image after the other beside what goes on; the milliseconds are there afterwards."""
    milliseconds: list[float] = []
    over = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=gateway_url(stack), timeout=60, trust_env=False) as client:
            while not over.wait(READ_SECONDS):
                began = time.perf_counter()
                client.get(f"/api/v1/images/{ids[len(milliseconds) % len(ids)]}").raise_for_status()
                milliseconds.append((time.perf_counter() - began) * 1000)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            yield milliseconds
        finally:
            over.set()
        reader.result()


def draw() -> bytes:
    """Draw a small JPEG with as much to decode as a photo of its size has: 320 x 240 in 34 kB."""
    file = io.BytesIO()
    Image.effect_noise((320, 240), 40).save(file, "JPEG", quality=75)
    return file.getvalue()


def mark(data: bytes, text: str) -> bytes:
    """Give a JPEG a comment, so that it is like no other."""
    comment = text.encode()
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
