"""Faults in a fixed order: for each guard the shortest sequence that shows what the guard is for.

With all guards, each scenario ends with zeros. docs/loss-drill.md lists which guard's absence raises which count.
"""

from collections.abc import Callable
from subprocess import SubprocessError

import httpx
import pika
from pika.exceptions import AMQPError

from chaos.scenario_runner import FAULTY_THUMBNAILER, ScenarioRunner
from devstack.errors import LaunchError
from devstack.rabbitmq import ALARMS
from thumbmill.core.errors import DependencyUnavailable

PUTS = 5  # while the broker is down
_ACK_SECONDS = 20.0  # without waiting for a confirm the ack is immediate; the broker's statistics are 5 s late


def outage(runner: ScenarioRunner) -> None:
    """Put images while the broker is down, so that the events of IMMEDIATE are lost."""
    stack = runner.environment.stack
    stack.kill("rabbitmq")
    for _ in range(PUTS):
        runner.put()
    stack.start("rabbitmq")
    runner.wait_for_queues()


def purge(runner: ScenarioRunner) -> None:
    """Lose an image's message from the thumbnailer's queue, but not from the tracker's."""
    stack = runner.environment.stack
    stack.stop("thumbnailer")
    tracked = runner.put()
    runner.wait_for_events(tracked, "ObjectCreated", 2)  # from both targets, so that the tracker misses neither
    with pika.BlockingConnection(runner.environment.administrator) as connection:
        connection.channel().queue_purge("image_queue")
    stack.start("thumbnailer")
    runner.wait_for_queues()


def alarm(runner: ScenarioRunner) -> None:
    """Kill a broker that, under its memory alarm, accepts acknowledgements but no messages."""
    stack = runner.environment.stack
    with runner.faulty_thumbnailer(freeze_at="before_publish"):
        tracked = runner.put()
        runner.wait_frozen()
        runner.wait_for_events(tracked, "image.processing")
        command, low, _ = ALARMS["memory"]
        runner.environment.rabbitmqctl(command, low)
        runner.wait_for(lambda: _has_alarm(runner), "the broker's alarm")
        runner.wait_for(lambda: _count(runner, "image_queue"), "the broker to count its messages")
        runner.resume()
        try:
            runner.wait_for(lambda: _count(runner, "image_queue") == 0, "an acknowledgement", _ACK_SECONDS)
            runner.environment.log("acknowledged")
        except LaunchError:
            runner.environment.log("not acknowledged")
        stack.kill("rabbitmq")
    stack.start("rabbitmq")
    stack.start("thumbnailer")
    runner.wait_for_queues()


def crash(runner: ScenarioRunner) -> None:
    """Kill a thumbnailer after it has stored the variants and before it publishes an event."""
    with runner.faulty_thumbnailer(crash_at="before_publish"):
        runner.put()
        runner.wait_crashed()
    runner.environment.stack.start("thumbnailer")
    runner.wait_for_queues()


def replay(runner: ScenarioRunner) -> None:
    """Overwrite an image, then deliver its events again, as at-least-once delivery permits."""
    with pika.BlockingConnection(runner.environment.administrator) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for exchange, key in (("storage.events", "immediate"), ("image.lifecycle", "image.done")):
            channel.queue_bind(queue, exchange, key)
        tracked = runner.put()
        runner.wait_done(tracked)
        events = [channel.basic_get(queue, auto_ack=True) for _ in range(2)]
        runner.overwrite(tracked)
        runner.wait_done(tracked)
        # From both targets: an event that came after the replay would be applied last.
        runner.wait_for_events(tracked, "ObjectCreated", 4)
    for method, properties, body in events:
        author = runner.environment.connection_parameters(properties.user_id or "admin")
        with pika.BlockingConnection(author) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(method.exchange, method.routing_key, body, properties)
    runner.wait_for_queues()


def zombie(runner: ScenarioRunner) -> None:
    """Freeze a thumbnailer with an image that is overwritten; then let it store its variants and crash."""
    with runner.faulty_thumbnailer(freeze_at="after_decode", crash_at="after_put"):
        tracked = runner.put()
        runner.wait_frozen()
        runner.environment.stack.start("thumbnailer")
        runner.overwrite(tracked)
        runner.wait_done(tracked)
        runner.resume()
        runner.wait_crashed()
    runner.wait_for_queues()


def deletion(runner: ScenarioRunner) -> None:
    """Freeze a thumbnailer with an image while the image is deleted and its deletion is processed."""
    with runner.faulty_thumbnailer(freeze_at="after_decode"):
        tracked = runner.put()
        runner.wait_frozen()
        runner.environment.stack.start("thumbnailer")
        runner.delete(tracked)
        runner.wait_for_events(tracked, "ObjectRemoved", 2)  # from both targets
        runner.wait_for_events(tracked, "image.removed")
        runner.resume()
        runner.environment.stack.stop(FAULTY_THUMBNAILER)  # it finishes the image first
    runner.wait_for_queues()


SCENARIOS: dict[str, Callable[[ScenarioRunner], None]] = {
    scenario.__name__: scenario for scenario in (outage, purge, alarm, crash, replay, zombie, deletion)
}


def run_scenario(name: str, runner: ScenarioRunner) -> None:
    """Run a scenario. Raise LaunchError if a step has no effect or a request of its client fails."""
    scenario = SCENARIOS[name]
    runner.environment.log(f"scenario {name}: {scenario.__doc__}")
    try:
        scenario(runner)
    except (DependencyUnavailable, httpx.HTTPError, AMQPError, SubprocessError) as error:
        raise LaunchError(f"the scenario {name} failed, since a request of its client failed: {error}") from error


def _has_alarm(runner: ScenarioRunner) -> bool:
    return _get_from_broker(runner, "health/checks/alarms").status_code == 503


def _count(runner: ScenarioRunner, queue: str) -> int | None:
    """Return a queue's messages, unacknowledged ones included: some seconds late, and None at first."""
    count: int | None = _get_from_broker(runner, f"queues/%2F/{queue}").json().get("messages")
    return count


def _get_from_broker(runner: ScenarioRunner, path: str) -> httpx.Response:
    installation = runner.environment.stack.installation
    url = f"http://127.0.0.1:{installation.ports['RABBITMQ_MANAGEMENT_PORT']}/api/{path}"
    return httpx.get(url, auth=("admin", installation.secrets["RABBITMQ_ADMIN_PASSWORD"]), timeout=30)
