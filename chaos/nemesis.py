"""What is done to the system while it is used: a menu of faults, each of which ends by itself."""

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
from chaos.environment import SERVERS, SERVICES, Scene
from chaos.lossy_relay import BadPostman
from chaos.proxy import Mode
from devstack.rabbitmq import ALARMS

HEARTBEATS_SECONDS = 45.0  # by then the broker has missed two of the services' heartbeats of 15, and hung up
KILLS = 4  # at a time
LINKS = 3  # disturbed at once
LEFT_BYTES = 256 * 1024  # at most, on a disk that is full: some small writes still succeed


def kill_services(scene: Scene) -> None:
    for _ in range(KILLS):
        name = scene.rng.choice(SERVICES)
        scene.say(f"kill -9 {name}")
        scene.stack.kill(name)
        scene.wait(0, 0.5)
        scene.start(name)
        scene.wait(0.5, 3)
        scene.note_ended()


def kill_servers(scene: Scene) -> None:
    one_by_one = [[name] for name in scene.rng.sample(SERVERS, len(SERVERS))]
    for names in [*one_by_one, list(SERVERS)]:
        scene.say(f"kill -9 {', '.join(names)}")
        for name in names:
            scene.stack.kill(name)
        scene.wait(0, 2)
        for name in names:
            scene.start(name)
        for name in names:
            scene.stack.wait_ready(name)
        scene.note_ended()


def freeze_a_service(scene: Scene) -> None:
    name = scene.rng.choice(SERVICES[1:])
    scene.say(f"SIGSTOP {name} for {HEARTBEATS_SECONDS:.0f} s")
    scene.stack.signal(name, signal.SIGSTOP)
    scene.stop.wait(HEARTBEATS_SECONDS)
    scene.stack.signal(name, signal.SIGCONT)


def disturb_links(scene: Scene) -> None:
    modes: list[Mode] = ["swallow-requests", "swallow-answers", "delay", "cut", "reset"]
    links = scene.rng.sample(list(scene.links.items()), LINKS)
    for ((service, server), proxy), mode in zip(links, scene.rng.sample(modes, LINKS), strict=True):
        proxy.mode = mode
        scene.say(f"{mode} between {service} and {server}")
    scene.wait(2, 10)
    for _, proxy in links:
        proxy.mode = "pass"


def raise_an_alarm(scene: Scene) -> None:
    kind = scene.rng.choice(list(ALARMS))
    order, low, usual = ALARMS[kind]
    scene.say(f"the broker's {kind} alarm")
    scene.rabbitmqctl(order, low)
    scene.wait(3, 8)
    scene.rabbitmqctl(order, usual)


def delete_a_queue(scene: Scene) -> None:
    name = scene.rng.choice(["image_queue", "status_tracker", "image_queue.delay.5s"])
    scene.say(f"the queue {name} is deleted, with what is in it")
    with pika.BlockingConnection(scene.administrator) as connection:
        connection.channel().queue_delete(name)
    scene.wait(1, 3)


def wipe_the_broker(scene: Scene) -> None:
    scene.say("kill -9 rabbitmq, and its data are gone; definitions and users come back with it")
    scene.stack.kill("rabbitmq")
    shutil.rmtree(scene.stack.table["rabbitmq"].environment["RABBITMQ_MNESIA_BASE"])
    scene.wait(0, 3)
    scene.start("rabbitmq")
    scene.stack.wait_ready("rabbitmq")
    scene.wait(1, 3)


def lose_events(scene: Scene) -> None:
    scene.say("a tenth of MinIO's events is lost, a fifth comes twice, and in any order")
    with BadPostman(scene.administrator, scene.rng) as postman:
        scene.wait(5, 10)
    scene.say(f"{postman.lost} events were lost")


def roll_a_restart(scene: Scene) -> None:
    scene.say("rolling restart")
    for name in SERVICES:
        scene.stack.stop(name)
        scene.start(name)
        scene.stack.wait_ready(name)


def fill_a_disk(scene: Scene) -> None:
    owner, disk = scene.rng.choice(list(scene.disks.items()))
    left = scene.rng.randrange(LEFT_BYTES)
    scene.say(f"{owner} is full but for {left} bytes")
    disk.fill(left)
    scene.wait(5, 10)
    disk.relieve()


def overload_the_gateway(scene: Scene) -> None:
    scene.say(f"{UPLOADERS} more clients upload and {POLLERS} ask, all without a pause")
    overload(scene.access, scene.history, scene.rng.randrange(10**6), lambda: scene.wait(5, 8))


def attack_the_gateway(scene: Scene) -> None:
    scene.say(f"{SILENT_CONNECTIONS} silent connections, {SLOW_SENDERS} slow senders, malformed requests and bombs")
    attack(scene.access, scene.history, lambda: scene.wait(5, 8))


@dataclass(frozen=True)
class Fault:
    """A line of the menu."""

    strike: Callable[[Scene], None]
    about: str


MENU = {
    "services": Fault(kill_services, "kill -9 of our services, every 0.5 to 3.5 s"),
    "servers": Fault(kill_servers, "kill -9 of MinIO, RabbitMQ, Postgres, one after the other, then all"),
    "freeze": Fault(freeze_a_service, "SIGSTOP of a consumer for longer than two heartbeats"),
    "links": Fault(disturb_links, "links that swallow, delay, cut or reset"),
    "alarms": Fault(raise_an_alarm, "the broker's memory and disk alarms"),
    "queues": Fault(delete_a_queue, "a queue deleted with what is in it"),
    "wipe": Fault(wipe_the_broker, "the broker killed and its data wiped"),
    "events": Fault(lose_events, "events lost, doubled and shuffled"),
    "disks": Fault(fill_a_disk, "a full disk under MinIO or the services' temporary files"),
    "overload": Fault(overload_the_gateway, "many more clients than the gateway can serve"),
    "hostile": Fault(attack_the_gateway, "a client that holds connections and sends what does harm"),
    "restarts": Fault(roll_a_restart, "SIGTERM and start of one service after the other"),
}


def draw(menu: Sequence[str], rng: random.Random, *, rounds: int = 0) -> Iterator[str]:
    """Give each fault of a menu once a round, every round in another order; by default without end."""
    for _ in range(rounds) if rounds else itertools.count():
        yield from rng.sample(menu, len(menu))
