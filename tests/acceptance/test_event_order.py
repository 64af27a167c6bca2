"""Storage events in any order and number: row and variants follow the content of the bucket."""

import hashlib
import itertools
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from uuid import UUID, uuid5

import pytest

from tests.support.images import opened, photo
from tests.support.messages import listening, post, purge, settled, wait_idle
from tests.support.system import ORIGINALS, PRESETS, PROCESSED
from tests.support.waiting import wait_until

# Images that the sizes of their thumbnails distinguish.
V1, V2, V3 = photo(64, 48), photo(48, 64), photo(80, 40)

# The history of a key, None being a deletion; the bucket holds the last entry.
HISTORIES = {
    "v1": [V2, None, V1],
    "v2": [V1, None, V2],
    "deleted": [V1, V2, None],
    "created again": [V1, V2, None, V3],
    "created again as it was": [V1, V2, None, V1],
}

SERVICES = {"thumbnailer": "image_queue", "status-tracker": "status_tracker"}  # and what they consume
TARGETS = {"both targets": ("immediate", "durable"), "ledger alone": ("durable",)}
TIMES = 100
WRITERS, KEYS = 8, 25


def test_the_same_event_a_hundred_times(system):
    with listening(system, "storage.events", "immediate", "durable") as bucket:
        image_id = system.post_form(photo())["id"]
        observed = bucket.take(2)
    system.wait_status(image_id)
    wait_idle(system)
    before = everything_about(system, image_id)
    handled = settled(system, "THUMBNAILER_HEALTH_PORT")["ack"]

    post(system, observed * TIMES)
    wait_until(lambda: settled(system, "THUMBNAILER_HEALTH_PORT")["ack"] >= handled + TIMES, 60, "the thumbnailer")
    wait_idle(system)

    assert everything_about(system, image_id) == before
    storage = [(type_, by) for type_, by, _ in before["events"] if type_.startswith("storage.")]
    assert sorted(storage) == [("storage.ObjectCreated:Put", "durable"), ("storage.ObjectCreated:Put", "immediate")]


def everything_about(system, image_id):
    events = system.query("SELECT type, recorded_by, recorded FROM image_timeline WHERE image_id = %s", image_id)
    return {
        "row": system.query("SELECT * FROM image_status WHERE id = %s", image_id),
        "events": sorted(events),
        "variants": system.keys(PROCESSED, f"{image_id}/"),
    }


def every_order():
    """Yield every history in every order of its events, with the targets that report them.

    The orders of three events with either set of targets; those of four with each in turn.
    """
    for number, (state, history) in enumerate(HISTORIES.items()):
        for turn, order in enumerate(itertools.permutations(range(len(history)))):
            for at, targets in enumerate(TARGETS):
                if len(history) == 3 or (number + turn + at) % 2:
                    yield state, order, targets


@pytest.mark.parametrize(("first", "known"), [("thumbnailer", False), ("status-tracker", False), ("both", True)])
def test_every_order_of_events_leads_to_what_the_bucket_holds(system, stack, first, known):
    """``known``: the key's first object was DONE before its events came again and in disorder."""
    cases = {
        f"orders, {first} first/{state}, {targets}/{' '.join(map(str, order))}": (HISTORIES[state], order, targets)
        for state, order, targets in every_order()
    }
    with listening(system, "storage.events", *TARGETS["both targets"]) as listener:
        write(system, {key: history[:1] for key, (history, _, _) in cases.items()} if known else {})
        check_all(system, {key: history[0] for key, (history, _, _) in cases.items()} if known else {})
        for name in SERVICES:
            stack.stop(name)
        write(system, {key: history[known:] for key, (history, _, _) in cases.items()})
        messages = listener.take(2 * sum(len(history) for history, _, _ in cases.values()), 60)
    purge(system, *SERVICES.values())
    observed = defaultdict(list)  # by key and target, as it happened
    for message in messages:
        observed[json.loads(message.body)["Key"].removeprefix(f"{ORIGINALS}/"), message.key].append(message)
    for key, (_, order, targets) in cases.items():
        post(system, [observed[key, target][n] for target in TARGETS[targets] for n in order])

    if first == "both":
        for name in SERVICES:
            stack.start(name, wait=False)
    else:
        stack.start(first, **({"TRACKER_BATCH_SIZE": "1"} if first == "status-tracker" else {}))
        wait_until(lambda: system.message_count(SERVICES[first]) == 0, 60, f"{SERVICES[first]} to be empty")
        stack.start(*SERVICES.keys() - {first})

    for these in TARGETS:
        ends = {key: history[-1] for key, (history, _, targets) in cases.items() if targets == these}
        # A removal with DURABLE's event alone, followed by another object, leaves variants to the reconciler.
        check_all(system, ends, alone=these == "both targets" or not known)


@pytest.mark.parametrize("deleters", [0, 2])
def test_many_writers_of_one_key(system, deleters):
    keys = [f"writers, {deleters} deleters/{n}" for n in range(KEYS)]
    barrier = Barrier(WRITERS)

    def work(writer):
        photos = [None if writer < deleters else photo(48 + 16 * writer, 64, seed=n + 1) for n in range(KEYS)]
        for key, data in zip(keys, photos, strict=True):
            barrier.wait(30)
            write(system, {key: [data]})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(work, range(WRITERS)))

    check_all(system, {key: read(system, key) for key in keys}, alone=False)


def write(system, histories):
    """Apply its history to every key."""
    for key, history in histories.items():
        for data in history:
            if data is None:
                system.s3.delete_object(Bucket=ORIGINALS, Key=key)
            else:
                system.put(key, data)


def read(system, key):
    try:
        return system.s3.get_object(Bucket=ORIGINALS, Key=key)["Body"].read()
    except system.s3.exceptions.NoSuchKey:
        return None


def check_all(system, objects, *, alone=True):
    """Check that every key ends as the bucket holds it; ``alone``: no variants of other objects are left."""
    with suppress(AssertionError):  # the comparison below reports more
        wait_until(lambda: not find_wrong(system, objects, alone=alone), 40)
    wait_idle(system)
    wrong = find_wrong(system, objects, alone=alone)
    assert not wrong, f"{len(wrong)} of {len(objects)} keys"
    for queue in ("image_queue.dead", "status_tracker.dead"):
        assert system.message_count(queue) == 0, queue
    for key, data in objects.items():
        image = system.image_of(key)
        if data is None:
            assert "image.removed" in system.timeline(image["id"]), key
            assert system.http.get(f"/api/v1/images/{image['id']}/variants/thumbnail").status_code == 410, key
        else:
            assert opened(system.thumbnail(image["id"])).size == opened(data).size, key


def find_wrong(system, objects, *, alone):
    """Compare rows and variants with the bucket; return the keys that differ, and how."""
    ids = {uuid5(NAMESPACE, f"{ORIGINALS}/{key}"): key for key in objects}  # a deleted image's row has lost its key
    rows = {ids[image_id]: (image_id, *rest) for image_id, *rest in system.query(ROWS, list(ids))}
    sources = {}
    for page in system.s3.get_paginator("list_objects_v2").paginate(Bucket=ORIGINALS):
        for entry in page.get("Contents", []):
            etag = entry["ETag"].strip('"')
            sources[entry["Key"]] = f"{etag}/{entry['Size']}/{int(entry['LastModified'].timestamp())}"
    made = defaultdict(set)
    for variant in system.keys(PROCESSED):
        made[variant.partition("/")[0]].add(variant)

    wrong = {}
    for key, data in objects.items():
        image_id, status, object_version, variants = rows.get(key, (None, None, None, []))
        kept = made[str(image_id)]
        if data is None:
            right = status == "DELETED" and not kept
        else:
            own = {variant for variant in kept if hashlib.sha256(data).hexdigest()[:16] in variant}
            right = (
                (status, object_version) == ("DONE", sources[key])
                and len(own) == len(PRESETS)
                and own == {variant["key"] for variant in variants}
                and (own == kept or not alone)
            )
        if not right:
            wrong[key] = (status, object_version, sources.get(key), variants, kept)
    return wrong


ROWS = "SELECT id, status, object_version, variants FROM image_status WHERE id = ANY(%s)"
NAMESPACE = UUID("6f2d1f0e-6c0b-5a5e-9d0e-7468756d626d")
