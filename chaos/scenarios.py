"""Faults in a fixed order, each the shortest way to what one guard is for; drills without rng.

With all guards in place each of them ends with zeros. Which guard's absence shows by which of them, and by which
count, is a table in docs/loss-drill.md.
"""

from collections.abc import Callable
from subprocess import SubprocessError

import httpx
import pika
from pika.exceptions import AMQPError

from chaos.scenario_runner import VICTIM, Stage
from devstack.errors import LaunchError
from devstack.rabbitmq import ALARMS
from thumbmill.core.errors import DependencyUnavailable

PUTS = 5  # while the broker is away
_ACK_SECONDS = 20.0  # whoever does not wait for a confirm acknowledges at once, and the broker tells in 5


def outage(stage: Stage) -> None:
    """Photos arrive while the broker is away, so that IMMEDIATE has nobody to tell."""
    stack = stage.scene.stack
    stack.kill("rabbitmq")
    for _ in range(PUTS):
        stage.put()
    stack.start("rabbitmq")
    stage.wait_heard()


def purge(stage: Stage) -> None:
    """A photo's message is lost from the thumbnailer's queue, and the tracker's is not."""
    stack = stage.scene.stack
    stack.stop("thumbnailer")
    tracked = stage.put()
    stage.wait_told(tracked, "ObjectCreated", 2)  # by both targets, so that neither is missed
    with pika.BlockingConnection(stage.scene.administrator) as connection:
        connection.channel().queue_purge("image_queue")
    stack.start("thumbnailer")
    stage.wait_heard()


def alarm(stage: Stage) -> None:
    """A broker that takes acknowledgements but, for its memory's sake, no messages is killed."""
    stack = stage.scene.stack
    with stage.victim(freeze_at="before_publish"):
        tracked = stage.put()
        stage.wait_frozen()
        stage.wait_told(tracked, "image.processing")
        order, low, _ = ALARMS["memory"]
        stage.scene.rabbitmqctl(order, low)
        stage.wait_for(lambda: _has_alarm(stage), "the broker's alarm")
        stage.wait_for(lambda: _count(stage, "image_queue"), "the broker to count its messages")
        stage.thaw()
        try:
            stage.wait_for(lambda: _count(stage, "image_queue") == 0, "an acknowledgement", _ACK_SECONDS)
            stage.scene.say("acknowledged")
        except LaunchError:
            stage.scene.say("not acknowledged")
        stack.kill("rabbitmq")
    stack.start("rabbitmq")
    stack.start("thumbnailer")
    stage.wait_heard()


def crash(stage: Stage) -> None:
    """A thumbnailer is killed when it has made the thumbnails and told nobody."""
    with stage.victim(crash_at="before_publish"):
        stage.put()
        stage.wait_crashed()
    stage.scene.stack.start("thumbnailer")
    stage.wait_heard()


def replay(stage: Stage) -> None:
    """A photo is overwritten, then all that was told of it is told again, as at-least-once delivery may."""
    with pika.BlockingConnection(stage.scene.administrator) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for exchange, key in (("storage.events", "immediate"), ("image.lifecycle", "image.done")):
            channel.queue_bind(queue, exchange, key)
        tracked = stage.put()
        stage.wait_done(tracked)
        told = [channel.basic_get(queue, auto_ack=True) for _ in range(2)]
        stage.overwrite(tracked)
        stage.wait_done(tracked)
        stage.wait_told(tracked, "ObjectCreated", 4)  # by both targets: what comes late would be believed last
    for method, properties, body in told:
        with pika.BlockingConnection(
            stage.scene.login(properties.user_id or "admin")
        ) as connection:  # its author's
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(method.exchange, method.routing_key, body, properties)
    stage.wait_heard()


def zombie(stage: Stage) -> None:
    """A thumbnailer stands still with a photo that is overwritten, then stores what it made of it, and dies."""
    with stage.victim(freeze_at="after_decode", crash_at="after_put"):
        tracked = stage.put()
        stage.wait_frozen()
        stage.scene.stack.start("thumbnailer")
        stage.overwrite(tracked)
        stage.wait_done(tracked)
        stage.thaw()
        stage.wait_crashed()
    stage.wait_heard()


def deletion(stage: Stage) -> None:
    """A photo is deleted, and all is told and done about that, while a thumbnailer stands still with it."""
    with stage.victim(freeze_at="after_decode"):
        tracked = stage.put()
        stage.wait_frozen()
        stage.scene.stack.start("thumbnailer")
        stage.delete(tracked)
        stage.wait_told(tracked, "ObjectRemoved", 2)  # by both targets
        stage.wait_told(tracked, "image.removed")
        stage.thaw()
        stage.scene.stack.stop(VICTIM)  # it ends when it has done what it has in hand
    stage.wait_heard()


SCRIPTS: dict[str, Callable[[Stage], None]] = {
    play.__name__: play for play in (outage, purge, alarm, crash, replay, zombie, deletion)
}


def play(name: str, stage: Stage) -> None:
    """Do what a script says. Raises LaunchError where a step has no effect or the client is not served."""
    script = SCRIPTS[name]
    stage.scene.say(f"script {name}: {script.__doc__}")
    try:
        script(stage)
    except (DependencyUnavailable, httpx.HTTPError, AMQPError, SubprocessError) as fault:
        raise LaunchError(f"the script ends where its client was not served: {fault}") from fault


def _has_alarm(stage: Stage) -> bool:
    return _ask_broker(stage, "health/checks/alarms").status_code == 503


def _count(stage: Stage, queue: str) -> int | None:
    """Count a queue's messages, with those that wait for their acknowledgement: seconds late, None at first."""
    count: int | None = _ask_broker(stage, f"queues/%2F/{queue}").json().get("messages")
    return count


def _ask_broker(stage: Stage, path: str) -> httpx.Response:
    installation = stage.scene.stack.installation
    url = f"http://127.0.0.1:{installation.ports['RABBITMQ_MANAGEMENT_PORT']}/api/{path}"
    return httpx.get(url, auth=("admin", installation.secrets["RABBITMQ_ADMIN_PASSWORD"]), timeout=30)
