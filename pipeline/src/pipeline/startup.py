"""How a consumer starts and stops: it waits for what is away, says what refuses it, and ends when it is told to."""

import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from http.server import ThreadingHTTPServer
from threading import Event

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from pipeline import health
from pipeline.consumer import Consumer
from pipeline.health import Order
from pipeline.outcomes import DependencyAway, Refused
from pipeline.settings import ConsumerSettings
from pipeline.workers import Probe

log = structlog.get_logger()


def insist(action: Callable[[], None], stop: Event) -> None:
    """Try until it works. Raises Refused, and DependencyAway once ``stop`` is set."""

    def is_away(fault: BaseException) -> bool:
        return isinstance(fault, DependencyAway) and not isinstance(fault, Refused)

    def report(state: RetryCallState) -> None:
        fault = state.outcome.exception() if state.outcome else None
        log.warning("waiting", fault=str(fault), attempt=state.attempt_number)

    Retrying(
        retry=retry_if_exception(is_away),
        wait=wait_random_exponential(0.2, max=3),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=report,
        reraise=True,
    )(action)


def stop_on_signals(stop: Event, tell: Callable[[], None] = lambda: None) -> None:
    """Have SIGTERM and SIGINT ask for a clean end; a second one ends the process at once, with code 1."""

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(1)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()
        tell()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)


def serve_probes(
    settings: ConsumerSettings,
    port: int,
    consumer: Consumer,
    started: Event,
    pings: Mapping[str, Probe],
    orders: Mapping[str, Order] | None = None,
) -> ThreadingHTTPServer:
    """Open the side port; until ``started`` is set the consumer's loop need not turn.

    Raises OSError that names the variables, where the address is taken.
    """

    def fault_of(ping: Probe) -> str:
        try:
            ping()
        except DependencyAway as away:
            return str(away)
        return ""

    try:
        return health.serve(
            settings.health_host,
            port,
            live=lambda: consumer.live() if started.is_set() else "",
            ready={"rabbitmq": consumer.ready} | {name: partial(fault_of, ping) for name, ping in pings.items()},
            orders=orders,
        )
    except OSError as fault:
        raise OSError(
            f"HEALTH_HOST, HEALTH_PORT: cannot listen on {settings.health_host}:{port}: {fault}"
        ) from fault
