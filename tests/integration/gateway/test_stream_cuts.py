"""A property: whatever is cut, the resumed streams have each change once and in order."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import urlencode

import httpx
import psycopg

from tests.support.live import SECONDS, Stream, second_gateway

SELECTIONS = ({}, {"batch": "a"}, {"type": ["image.done", "image.failed"]}, {"batch": "b", "type": "image.done"})


def test_cut_anywhere_and_resumed_at_any_gateway_each_change_comes_once_and_in_order(fresh, port):
    """Three clients write, one gateway restarts, and streams are cut after any byte."""
    is_over = threading.Event()
    with second_gateway(fresh) as another, ThreadPoolExecutor(16) as pool:
        start = fresh.client.get("/api/v1/changes").json()["next"]
        readers = [
            pool.submit(read_with_cuts, random.Random(seed), (port, another), SELECTIONS[seed % 4], start, is_over)
            for seed in range(4)
        ]
        writers = [pool.submit(write_changes, fresh, random.Random(seed)) for seed in range(3)]
        writers[0].result(SECONDS * 2)
        fresh.stack.restart("gateway")
        for writer in writers:
            writer.result(SECONDS * 2)
        fresh.put_changes("DONE", batch="a")
        fresh.put_changes("DONE", batch="b")  # the last change of every selection
        is_over.set()
        received = [reader.result(SECONDS * 2) for reader in readers]
    rows = fresh.sql("SELECT seq, type, batch FROM changes ORDER BY seq")
    assert len(rows) > 130
    for number, sequence in enumerate(received):
        wanted = SELECTIONS[number % 4]
        assert sequence == [
            seq
            for seq, type_, batch in rows
            if wanted.get("batch", batch) == batch and type_ in wanted.get("type", type_)
        ]


def write_changes(system, chance):
    with closing(psycopg.connect(system.owner, autocommit=True)) as connection:
        for _ in range(15):
            system.put_changes(
                "PENDING",
                "PROCESSING",
                chance.choice(["DONE", "FAILED"]),
                batch=chance.choice("ab"),
                connection=connection,
            )


def read_with_cuts(chance, ports, selection, last_id, is_over):
    """Follow a selection by streams that are cut after any number of bytes; return the numbers of its changes."""
    path, received = f"/api/v1/stream?{urlencode(selection, doseq=True)}", []
    while not (is_over.is_set() and follows_nothing(ports[1], selection, last_id)):
        limit = chance.randrange(300, 20_000)
        try:
            stream = Stream(chance.choice(ports), path, **{"Last-Event-ID": last_id})
        except ConnectionError:  # the gateway restarts
            is_over.wait(0.05)
            continue
        with closing(stream), suppress(TimeoutError):
            stream.limit(1)  # in case that nothing more comes
            stream.read_until(lambda one, limit=limit: len(one.content) > limit)
        del stream.content[limit:]
        events = stream.events
        received += [event.seq for event in events if event.type.startswith("image.")]
        last_id = events[-1].last_id if events else last_id
    return received


def follows_nothing(port, selection, last_id):
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/changes", params={"after": last_id, **selection})
    return not answer.json()["items"]
