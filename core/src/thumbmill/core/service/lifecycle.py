"""How a consumer starts and stops: it waits for what is away, says what refuses it, and ends when it is told to."""

import os
import signal
from collections.abc import Callable, Mapping
from http.server import ThreadingHTTPServer
from threading import Event, Lock, Thread

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable, error_message
from thumbmill.core.messaging.consumer import Consumer
from thumbmill.core.messaging.workers import Probe
from thumbmill.core.service import admin_server
from thumbmill.core.service.admin_server import Endpoints
from thumbmill.core.settings import ConsumerSettings

log = structlog.get_logger()

PING_SECONDS = 4  # what has not answered by then is away, as far as /readyz goes


class Startup:
    """How far a service has come: until it has started, it may wait for something that it needs first."""

    def __init__(self) -> None:
        self._started = Event()
        self._fault: DependencyUnavailable | None = None

    def report_waiting(self, fault: DependencyUnavailable | None) -> None:
        """Note what is waited for; None: no more."""
        self._fault = fault

    def complete(self) -> None:
        """Note that the service has started."""
        self._started.set()

    @property
    def is_complete(self) -> bool:
        return self._started.is_set()

    def unavailable(self) -> dict[str, str]:
        """Say what is waited for, by the dependency that is to blame."""
        return {self._fault.dependency: str(self._fault)} if self._fault else {"service": "it is starting"}


def retry_until_available(action: Callable[[], None], stop: Event, start: Startup | None = None) -> None:
    """Try until it works; ``start`` is told what is waited for.

    Raises Refused, and DependencyAway once ``stop`` is set.
    """

    def is_away(fault: BaseException) -> bool:
        return isinstance(fault, DependencyUnavailable) and not isinstance(fault, DependencyRejected)

    def report(state: RetryCallState) -> None:
        fault = state.outcome.exception() if state.outcome else None
        log.warning("waiting", fault=str(fault), attempt=state.attempt_number)
        if start and isinstance(fault, DependencyUnavailable):
            start.report_waiting(fault)

    Retrying(
        retry=retry_if_exception(is_away),
        wait=wait_random_exponential(0.2, max=3),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=report,
        reraise=True,
    )(action)
    if start:
        start.report_waiting(None)


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


def serve_admin(
    settings: ConsumerSettings,
    port: int,
    consumer: Consumer,
    start: Startup,
    probes: Mapping[str, Probe],
    endpoints: Endpoints | None = None,
    health_checks: Mapping[str, admin_server.HealthCheck] | None = None,
) -> ThreadingHTTPServer:
    """Open the side port; until the service has started the consumer's loop need not turn.

    ``probes`` ask a server, ``health_checks`` say at once what the service has noticed by itself.

    Raises OSError that names the variables, where the address is taken.
    """
    patient = {name: TimedProbe(name, ping) for name, ping in probes.items()}
    try:
        return admin_server.serve(
            settings.health_host,
            port,
            liveness=lambda: consumer.liveness() if start.is_complete else "",
            readiness=lambda: find_unavailable(
                _noticed(health_checks or {})
                | (consumer.unavailable() if start.is_complete else start.unavailable()),
                patient,
            ),
            endpoints=endpoints,
        )
    except OSError as fault:
        raise OSError(
            f"HEALTH_HOST, HEALTH_PORT: cannot listen on {settings.health_host}:{port}: {fault}"
        ) from fault


def _noticed(checks: Mapping[str, admin_server.HealthCheck]) -> dict[str, str]:
    return {name: fault for name, check in checks.items() if (fault := check())}


def find_unavailable(known: Mapping[str, str], pings: Mapping[str, "TimedProbe"]) -> dict[str, str]:
    """Return what is wrong by the dependency that is to blame: what stops the service, and what does not answer."""
    asked = {name: fault for name, ping in pings.items() if name not in known and (fault := ping.check())}
    return {**known, **asked}


class TimedProbe:
    """Asks a server one question at a time, and waits no longer for the answer than who asks can wait.

    Where packets vanish, an answer may never come; the next who asks then waits for the same one.
    """

    def __init__(self, server: str, ping: Probe, seconds: float = PING_SECONDS) -> None:
        self._server, self._ping, self._seconds = server, ping, seconds
        self._lock = Lock()
        self._answer: list[str] = []  # the fault, or nothing wrong, once it is known
        self._answered = Event()
        self._answered.set()

    def check(self) -> str:
        """Say what is wrong, if so."""
        with self._lock:
            if self._answered.is_set():
                self._answer, self._answered = [], Event()
                Thread(target=self._wait_for, args=(self._answer, self._answered), daemon=True).start()
            answer, answered = self._answer, self._answered
        if not answered.wait(self._seconds):
            return str(DependencyUnavailable(self._server, f"no answer in {self._seconds:g} s"))
        return answer[0]

    def _wait_for(self, answer: list[str], answered: Event) -> None:
        try:
            self._ping()
            answer.append("")
        except DependencyUnavailable as away:
            answer.append(str(away))
        except Exception as fault:
            log.exception("ping_failed", server=self._server)
            answer.append(error_message(fault))
        finally:
            answered.set()
