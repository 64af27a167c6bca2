"""More requests than the gateway can serve: some are rejected, and afterwards it works as before."""

import asyncio
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg

from devstack.postgres import OWNER, database_url
from tests.support.images import photo
from tests.support.waiting import wait_until

POLLERS = 150
STALLS = 3
CONNECTIONS = 8  # that the gateway keeps to Postgres
STALL_SECONDS = 5.2  # the gateway waits five for the database


async def poll(port, path, stop):
    """Request an image repeatedly on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))
        await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
    writer.close()


async def stall(system, path):
    """Poll as fast as possible, and freeze the gateway for seconds now and then."""
    stop = asyncio.Event()
    pollers = [asyncio.create_task(poll(system.ports["GATEWAY_PORT"], path, stop)) for _ in range(POLLERS)]
    for _ in range(STALLS):
        await asyncio.sleep(0.7)  # while all pollers have requests in flight
        system.stack.signal("gateway", signal.SIGSTOP)
        try:
            await asyncio.sleep(STALL_SECONDS)  # its deadlines and the responses arrive at the same moment
        finally:
            system.stack.signal("gateway", signal.SIGCONT)
    stop.set()
    await asyncio.gather(*pollers)


def waiting_queries(system):
    """Return how many of the gateway's connections wait for a lock."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND wait_event_type = 'Lock'"
    return system.query(count)[0][0]


def test_an_overloaded_gateway_keeps_its_database_connections(system):
    path = f"/api/v1/images/{system.post_form(photo())['id']}"
    asyncio.run(stall(system, path))
    assert system.http.get(path).status_code == 200
    assert system.http.get("/livez").status_code == 200

    stop = threading.Event()

    def read():
        with httpx.Client(base_url=system.http.base_url, timeout=30) as client:
            while not stop.is_set():
                client.get("/api/v1/images?limit=1")  # reads of one image share a query

    url = database_url(system.stack.installation, OWNER, system.secrets["POSTGRES_PASSWORD"])
    with psycopg.connect(url) as locker, ThreadPoolExecutor(4 * CONNECTIONS) as pool:
        locker.execute("LOCK TABLE images")
        for _ in range(4 * CONNECTIONS):
            pool.submit(read)
        try:
            wait_until(lambda: waiting_queries(system) == CONNECTIONS, 30, "every connection to ask for the table")
        finally:
            stop.set()
            locker.rollback()
