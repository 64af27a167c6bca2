"""The faults that are injected while clients use the system; each has ended when its function returns."""

import itertools
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pika

from chaos.crowds import (
    POLLERS,
    SILENT_CONNECTIONS,
    SLOW_SENDERS,
    UPLOADERS,
    attack,
    overload,
)
from chaos.environment import SERVERS, SERVICES, Environment
from chaos.lossy_relay import LossyRelay
from chaos.proxy import Mode
from devstack.rabbitmq import ALARMS

HEARTBEATS_SECONDS = 45.0  # by then the broker has missed two heartbeats of 15 s and closed the connection
KILLS = 4  # in one fault
LINKS = 3  # disturbed in one fault
FREE_BYTES = 256 * 1024  # at most, on a full disk: some small writes still succeed


def kill_services(environment: Environment) -> None:
    for _ in range(KILLS):
        name = environment.rng.choice(SERVICES)
        environment.log(f"kill -9 {name}")
        environment.stack.kill(name)
        environment.wait(0, 0.5)
        environment.start(name)
        environment.wait(0.5, 3)
        environment.record_exits()


def kill_servers(environment: Environment) -> None:
    one_by_one = [[name] for name in environment.rng.sample(SERVERS, len(SERVERS))]
    for names in [*one_by_one, list(SERVERS)]:
        environment.log(f"kill -9 {', '.join(names)}")
        for name in names:
            environment.stack.kill(name)
        environment.wait(0, 2)
        for name in names:
            environment.start(name)
        for name in names:
            environment.stack.wait_ready(name)
        environment.record_exits()


def freeze_service(environment: Environment) -> None:
    name = environment.rng.choice(SERVICES[1:])
    environment.log(f"SIGSTOP {name} for {HEARTBEATS_SECONDS:.0f} s")
    environment.stack.signal(name, signal.SIGSTOP)
    environment.stop.wait(HEARTBEATS_SECONDS)
    environment.stack.signal(name, signal.SIGCONT)


def disturb_links(environment: Environment) -> None:
    modes: list[Mode] = ["stall-requests", "stall-responses", "delay", "cut", "reset"]
    links = environment.rng.sample(list(environment.links.items()), LINKS)
    for ((service, server), proxy), mode in zip(links, environment.rng.sample(modes, LINKS), strict=True):
        proxy.mode = mode
        environment.log(f"{mode} between {service} and {server}")
    environment.wait(2, 10)
    for _, proxy in links:
        proxy.mode = "pass"


def raise_alarm(environment: Environment) -> None:
    kind = environment.rng.choice(list(ALARMS))
    command, low, normal = ALARMS[kind]
    environment.log(f"{kind} alarm of the broker")
    environment.rabbitmqctl(command, low)
    environment.wait(3, 8)
    environment.rabbitmqctl(command, normal)


def delete_queue(environment: Environment) -> None:
    name = environment.rng.choice(["image_queue", "status_tracker", "image_queue.delay.5s"])
    environment.log(f"deleting the queue {name} with its messages")
    with pika.BlockingConnection(environment.administrator) as connection:
        connection.channel().queue_delete(name)
    environment.wait(1, 3)


def wipe_broker(environment: Environment) -> None:
    environment.log("kill -9 rabbitmq, and delete its data; it imports its definitions and users at its start")
    environment.stack.kill("rabbitmq")
    shutil.rmtree(environment.stack.table["rabbitmq"].environment["RABBITMQ_MNESIA_BASE"])
    environment.wait(0, 3)
    environment.start("rabbitmq")
    environment.stack.wait_ready("rabbitmq")
    environment.wait(1, 3)


def lose_events(environment: Environment) -> None:
    environment.log("losing a tenth of MinIO's events, duplicating a fifth, and shuffling them")
    with LossyRelay(environment.administrator, environment.rng) as relay:
        environment.wait(5, 10)
    environment.log(f"{relay.lost} events lost")


def restart_services(environment: Environment) -> None:
    environment.log("rolling restart")
    for name in SERVICES:
        environment.stack.stop(name)
        environment.start(name)
        environment.stack.wait_ready(name)


def fill_disk(environment: Environment) -> None:
    owner, disk = environment.rng.choice(list(environment.disks.items()))
    free = environment.rng.randrange(FREE_BYTES)
    environment.log(f"{owner} is full except for {free} bytes")
    disk.fill(free)
    environment.wait(5, 10)
    disk.free()


def overload_gateway(environment: Environment) -> None:
    environment.log(f"{UPLOADERS} more clients upload and {POLLERS} poll statuses, all without a pause")
    overload(
        environment.access, environment.history, environment.rng.randrange(10**6), lambda: environment.wait(5, 8)
    )


def attack_gateway(environment: Environment) -> None:
    environment.log(
        f"{SILENT_CONNECTIONS} silent connections, {SLOW_SENDERS} slow senders, malformed requests and bombs"
    )
    attack(environment.access, environment.history, lambda: environment.wait(5, 8))


@dataclass(frozen=True)
class Fault:
    """A fault and its description."""

    inject: Callable[[Environment], None]
    description: str


FAULTS = {
    "services": Fault(kill_services, "kill -9 of services, every 0.5 to 3.5 s"),
    "servers": Fault(
        kill_servers, "kill -9 of MinIO, RabbitMQ and Postgres, one after the other, then all at once"
    ),
    "freeze": Fault(freeze_service, "SIGSTOP of a consumer for longer than two heartbeats"),
    "links": Fault(disturb_links, "connections that stall, are slow, are cut or are reset"),
    "alarms": Fault(raise_alarm, "the broker's memory and disk alarms"),
    "queues": Fault(delete_queue, "a queue deleted with its messages"),
    "wipe": Fault(wipe_broker, "the broker killed and its data deleted"),
    "events": Fault(lose_events, "events lost, duplicated and shuffled"),
    "disks": Fault(fill_disk, "a full disk under MinIO or the services' temporary files"),
    "overload": Fault(overload_gateway, "many more clients than the gateway can serve"),
    "hostile": Fault(attack_gateway, "a client that holds connections, sends malformed requests and uploads bombs"),
    "restarts": Fault(restart_services, "SIGTERM and restart of one service after the other"),
}


def draw_faults(names: Sequence[str], rng: random.Random, *, rounds: int = 0) -> Iterator[str]:
    """Yield each fault once a round, each round in another order; without a number of rounds endlessly."""
    for _ in range(rounds) if rounds else itertools.count():
        yield from rng.sample(names, len(names))
