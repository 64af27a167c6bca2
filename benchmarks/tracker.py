"""Measure what the status tracker costs: messages published before it starts, worked off from a full queue.

Each image has four events, as on the usual path: both of the bucket's, image.processing and image.done. The events
of one image are far apart in the queue, so that each is in a batch of its own and writes its row again: that is the
dearest order. Rounds with and without the feed of changes alternate. benchmarks/README.md explains the figures.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_plus

import pika

from benchmarks.accounting import PARTS as PROCESSES
from benchmarks.accounting import Part, cpu_of
from benchmarks.installation import log, open_database, running_system
from devstack.polling import pause
from devstack.stack import Stack
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.events import Done, Processing, Variant
from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    ObjectVersion,
    image_id_of,
    new_image_id,
    upload_key,
    variant_key,
)
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.messaging.topology import (
    DURABLE,
    IMAGE_QUEUE,
    IMMEDIATE,
    LIFECYCLE,
    STORAGE_EVENTS,
    TRACKER_QUEUE,
)

SPACING = 60  # images between two events of one image: more than a batch of 100 messages, a quarter of them
EVENTS = 4  # of an image
PARTS = ("status-tracker", "postgres", "rabbitmq")
WITHOUT_FEED = Path(__file__).with_name("tracker_without_feed.py")
VARIANTS = {"with the feed": None, "without it": [sys.executable, str(WITHOUT_FEED), "run"]}
POLL_SECONDS = 0.2

Published = tuple[str, str, bytes, str]  # exchange, routing key, body, content type


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=5000, help="in one round (default: 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind (default: 3)")
    parser.add_argument("--json", action="store_true", help="also print the figures as a line of JSON")
    given = parser.parse_args()
    quiet = {"HEARTBEAT_INTERVAL_SECONDS": "86400", "RECONCILE_INTERVAL_SECONDS": "86400"}
    results: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    with running_system(quiet) as stack:
        for name in ("gateway", "thumbnailer", "status-tracker"):
            stack.stop(name)
        work_off(stack, "with the feed", min(given.images, 1000))  # warms up
        for number in range(given.rounds):
            for name in sorted(VARIANTS, reverse=bool(number % 2)):
                found = work_off(stack, name, given.images)
                log(f"round {number + 1}, {name}: {json.dumps(found)}")
                results[name].append(found)
    print(render(results), flush=True)
    if given.json:
        print(json.dumps(results), flush=True)


def work_off(stack: Stack, variant: str, images: int) -> dict[str, float]:
    """Fill the queue, start the tracker, and return what an event cost, without the tracker's start."""
    with closing(open_database(stack)) as database:
        database.execute("TRUNCATE images, events, changes")
        database.execute("CHECKPOINT")
        publish(stack, images)
        stack.start("status-tracker", command=VARIANTS[variant])
        parts = _parts(stack)

        def count(query: str = "SELECT count(*) FROM events") -> int:
            found = database.execute(query).fetchone()
            return int(found[0]) if found else 0

        def wait_for(events: int) -> tuple[float, int, dict[str, float]]:
            while (seen := count()) < events:
                pause(POLL_SECONDS)
            return time.monotonic(), seen, cpu_of(parts, database.info.backend_pid)

        started, first, before = wait_for(1)
        ended, last, after = wait_for(images * EVENTS)
        done = count("SELECT count(*) FROM images WHERE status = 'DONE'")
        changes = count("SELECT count(*) FROM changes")
        stack.stop("status-tracker")
    if done != images:
        raise SystemExit(f"{done} of {images} images are DONE")
    events = last - first
    return {
        "events_per_s": round(events / (ended - started), 1),
        **{name: round((after[name] - before[name]) * 1000 / events, 3) for name in PARTS},
        "changes_per_image": round(changes / images, 2),
    }


def _parts(stack: Stack) -> dict[str, Part]:
    return {name: Part(tuple(stack.pid(process) for process in PROCESSES[name])) for name in PARTS}


def publish(stack: Stack, images: int) -> None:
    """Publish all events of new images into the tracker's queue; the thumbnailer's stays empty."""
    secrets, port = stack.installation.secrets, stack.installation.ports["RABBITMQ_PORT"]
    messages = list(make_messages(images))
    logins = {
        STORAGE_EVENTS: pika.PlainCredentials("admin", secrets["RABBITMQ_ADMIN_PASSWORD"]),
        LIFECYCLE: pika.PlainCredentials("thumbnailer", secrets["THUMBNAILER_RABBITMQ_PASSWORD"]),
    }
    with ExitStack() as connections:
        channels = {}
        for exchange, login in logins.items():
            parameters = pika.ConnectionParameters("127.0.0.1", port, credentials=login)
            connection = connections.enter_context(closing(pika.BlockingConnection(parameters)))
            channels[exchange] = connection.channel()
        admin = channels[STORAGE_EVENTS]
        for exchange, key, body, content_type in messages:
            user = "thumbnailer" if exchange == LIFECYCLE else None
            properties = pika.BasicProperties(content_type=content_type, delivery_mode=2, user_id=user)
            channels[exchange].basic_publish(exchange, key, body, properties)
        while admin.queue_declare(TRACKER_QUEUE, passive=True).method.message_count < len(messages):
            channels[LIFECYCLE].connection.process_data_events(POLL_SECONDS)
        admin.queue_purge(IMAGE_QUEUE)


def make_messages(images: int) -> Iterator[Published]:
    """Yield the events of each image, each SPACING images behind the one before."""
    keys = [upload_key(new_image_id()) for _ in range(images)]
    for position in range(images + SPACING * (EVENTS - 1)):
        for number, make in enumerate((_immediate, _processing, _durable, _done)):
            index = position - number * SPACING
            if 0 <= index < images:
                yield make(keys[index])


def _object_version(key: str) -> ObjectVersion:
    return ObjectVersion(image_id_of(key).hex, 2_400_000, 1_800_000_000)


def _immediate(key: str, routing_key: str = IMMEDIATE) -> Published:
    version = _object_version(key)
    described = {"key": quote_plus(key), "size": version.size, "eTag": version.etag, "contentType": "image/jpeg"}
    metadata = {"content-type": "image/jpeg", "X-Amz-Meta-File-Name": "holiday.jpg"}
    object_ = {**described, "userMetadata": metadata, "sequencer": f"{version.modified * 10**9:X}"}
    record = {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": ORIGINALS_BUCKET}, "object": object_}}
    return STORAGE_EVENTS, routing_key, json.dumps({"Records": [record]}).encode(), "application/json"


def _durable(key: str) -> Published:
    return _immediate(key, DURABLE)


def _processing(key: str) -> Published:
    return _lifecycle(
        Processing(key=key, object_version=_object_version(key), content_type="image/jpeg", attempt=1)
    )


def _done(key: str) -> Published:
    image_id, sha256 = image_id_of(key), image_id_of(key).hex * 2
    variants = [
        Variant(type=name, key=variant_key(image_id, sha256, name, "1.1", "webp"), width=edge, height=edge * 2 // 3,
            bytes=edge * 40, content_type="image/webp")
        for name, edge in (("thumbnail", 256), ("small", 640), ("large", 1600))
    ]  # fmt: skip
    details = ImageDetails(
        frames=1, has_alpha=False, colour_space="sRGB", dominant_colour="#336699",
        thumbhash="3OcRJYB4d3h/iIeHeEh3eIhw", taken_at="2026-01-31T12:00:00", camera="A camera", gps=None,
    )  # fmt: skip
    return _lifecycle(
        Done(key=key, object_version=_object_version(key), content_type="image/jpeg", attempt=1, sha256=sha256,
            width=4032, height=3024, format="JPEG", variants=variants, details=details)
    )  # fmt: skip


def _lifecycle(data: Processing | Done) -> Published:
    event = to_cloud_event(data, by="thumbnailer", now=datetime.now(UTC))
    return LIFECYCLE, event.type.value, event.to_json(), CONTENT_TYPE


def render(results: dict[str, list[dict[str, float]]]) -> str:
    """Return medians as a Markdown table."""
    names = list(next(iter(results.values()))[0])
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for name in names:
        label = f"CPU-ms an event, {name}" if name in PARTS else name.replace("_", " ")
        medians = (statistics.median(found[name] for found in rounds) for rounds in results.values())
        lines.append(f"| {label} | " + " | ".join(f"{median:g}" for median in medians) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
