"""More requests than can be answered: some are refused, and afterwards all is as before."""

import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psycopg

from local.postgres import OWNER, database_url
from support.pictures import photo
from support.waiting import wait_until

CLIENTS = 200
STALLS = 3
CONNECTIONS = 8  # that the gateway keeps to Postgres
LONGER_THAN_AN_ANSWER = 5.2  # seconds: the gateway waits five for the database
_PAUSE = threading.Event()  # never set


def stall(system, path):
    """Have clients ask all at once, and the gateway not be scheduled for seconds in the midst of answering."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    with ExitStack() as opened:
        system.stack.signal("gateway", signal.SIGSTOP)
        address = ("127.0.0.1", system.ports["GATEWAY_PORT"])
        clients = [opened.enter_context(socket.create_connection(address, timeout=60)) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(request)
        system.stack.signal("gateway", signal.SIGCONT)
        clients[0].recv(1)
        system.stack.signal("gateway", signal.SIGSTOP)
        _PAUSE.wait(LONGER_THAN_AN_ANSWER)  # its deadlines and its answers come at the same moment
        system.stack.signal("gateway", signal.SIGCONT)
        for client in clients:
            while client.recv(65536):
                pass


def waiting_queries(system):
    """How many of the gateway's connections wait for a lock."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND wait_event_type = 'Lock'"
    return system.query(count)[0][0]


def test_a_gateway_that_could_not_keep_up_keeps_its_connections_to_the_database(system):
    path = f"/api/v1/images/{system.post_form(photo())['id']}"
    for _ in range(STALLS):
        stall(system, path)
    assert system.http.get(path).status_code == 200
    assert system.http.get("/livez").status_code == 200

    seen = threading.Event()

    def look():
        with httpx.Client(base_url=system.http.base_url, timeout=30) as client:
            while not seen.is_set():
                client.get(path)

    url = database_url(system.stack.site, OWNER, system.secrets["POSTGRES_PASSWORD"])
    with psycopg.connect(url) as locker, ThreadPoolExecutor(4 * CONNECTIONS) as pool:
        locker.execute("LOCK TABLE images")
        for _ in range(4 * CONNECTIONS):
            pool.submit(look)
        try:
            wait_until(lambda: waiting_queries(system) == CONNECTIONS, 30, "every connection to ask for the table")
        finally:
            seen.set()
            locker.rollback()
