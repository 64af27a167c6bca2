"""What is done to the system while it is used: a menu of faults, each of which ends by itself."""

import itertools
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pika

from drill.lossy import BadPostman
from drill.proxy import Mode
from drill.scene import SERVERS, SERVICES, Scene

HEARTBEATS_SECONDS = 45.0  # by then the broker has missed two of the services' heartbeats of 15, and hung up
LEFT_BYTES = 256 * 1024  # at most, on a disk that is full: some small writes still succeed


def kill_a_service(scene: Scene) -> None:
    name = scene.chance.choice(SERVICES)
    scene.say(f"kill -9 {name}")
    scene.stack.kill(name)
    scene.wait(0, 1)
    scene.start(name)
    scene.wait(0.5, 3)


def kill_a_server(scene: Scene) -> None:
    names = list(SERVERS) if scene.chance.random() < 0.25 else [scene.chance.choice(SERVERS)]
    scene.say(f"kill -9 {', '.join(names)}")
    for name in names:
        scene.stack.kill(name)
    scene.wait(0, 3)
    for name in names:
        scene.start(name)
    for name in names:
        scene.stack.wait_ready(name)


def freeze_a_service(scene: Scene) -> None:
    name = scene.chance.choice(SERVICES[1:])
    scene.say(f"SIGSTOP {name} for {HEARTBEATS_SECONDS:.0f} s")
    scene.stack.signal(name, signal.SIGSTOP)
    scene.stop.wait(HEARTBEATS_SECONDS)
    scene.stack.signal(name, signal.SIGCONT)


def disturb_a_link(scene: Scene) -> None:
    (service, server), proxy = scene.chance.choice(list(scene.links.items()))
    modes: list[Mode] = ["swallow-requests", "swallow-answers", "delay", "cut", "reset"]
    proxy.mode = scene.chance.choice(modes)
    scene.say(f"{proxy.mode} between {service} and {server}")
    scene.wait(2, 10)
    proxy.mode = "pass"


def raise_an_alarm(scene: Scene) -> None:
    kind = scene.chance.choice(["disk", "memory"])
    scene.say(f"the broker's {kind} alarm")
    if kind == "disk":
        scene.rabbitmqctl("set_disk_free_limit", "999GB")
    else:
        scene.rabbitmqctl("set_vm_memory_high_watermark", "0.0001")
    scene.wait(3, 8)
    scene.rabbitmqctl("set_disk_free_limit", "50MB")
    scene.rabbitmqctl("set_vm_memory_high_watermark", "0.4")


def delete_a_queue(scene: Scene) -> None:
    name = scene.chance.choice(["image_queue", "status_tracker", "image_queue.retry.5s"])
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
    with BadPostman(scene.administrator, scene.chance) as postman:
        scene.wait(5, 10)
    scene.say(f"{postman.lost} events were lost")


def roll_a_restart(scene: Scene) -> None:
    scene.say("rolling restart")
    for name in SERVICES:
        scene.stack.stop(name)
        scene.start(name)
        scene.stack.wait_ready(name)


def fill_a_disk(scene: Scene) -> None:
    owner, disk = scene.chance.choice(list(scene.disks.items()))
    left = scene.chance.randrange(LEFT_BYTES)
    scene.say(f"{owner} is full but for {left} bytes")
    disk.fill(left)
    scene.wait(5, 10)
    disk.relieve()


@dataclass(frozen=True)
class Fault:
    """A line of the menu."""

    strike: Callable[[Scene], None]
    about: str


MENU = {
    "services": Fault(kill_a_service, "kill -9 of a service of ours"),
    "servers": Fault(kill_a_server, "kill -9 of MinIO, RabbitMQ, Postgres, or all of them"),
    "freeze": Fault(freeze_a_service, "SIGSTOP of a consumer for longer than two heartbeats"),
    "links": Fault(disturb_a_link, "a link that swallows, delays, cuts or resets"),
    "alarms": Fault(raise_an_alarm, "the broker's memory and disk alarms"),
    "queues": Fault(delete_a_queue, "a queue deleted with what is in it"),
    "wipe": Fault(wipe_the_broker, "the broker killed and its data wiped"),
    "events": Fault(lose_events, "events lost, doubled and shuffled"),
    "disks": Fault(fill_a_disk, "a full disk under MinIO or the services' temporary files"),
    "restarts": Fault(roll_a_restart, "SIGTERM and start of one service after the other"),
}


def draw(menu: Sequence[str], chance: random.Random, *, rounds: int = 0) -> Iterator[str]:
    """Give each fault of a menu once a round, every round in another order; by default without end."""
    for _ in range(rounds) if rounds else itertools.count():
        yield from chance.sample(menu, len(menu))
