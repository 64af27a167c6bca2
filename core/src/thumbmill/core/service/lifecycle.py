"""Start and stop of a consumer: it waits for its dependencies, exits if they reject it, and stops on signals."""

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

PROBE_TIMEOUT_SECONDS = 4  # a server that has not responded by then is unavailable, as /readyz reports it


class Startup:
    """The state of a service that is starting, and what it waits for."""

    def __init__(self) -> None:
        self._complete = Event()
        self._error: DependencyUnavailable | None = None

    def report_waiting(self, error: DependencyUnavailable | None) -> None:
        """Record what the service waits for; None if it no longer waits."""
        self._error = error

    def complete(self) -> None:
        """Record that the service has started."""
        self._complete.set()

    @property
    def is_complete(self) -> bool:
        return self._complete.is_set()

    def unavailable(self) -> dict[str, str]:
        """Return what the service waits for, by dependency."""
        return {self._error.dependency: str(self._error)} if self._error else {"service": "it is starting"}


def retry_until_available(action: Callable[[], None], stop: Event, start: Startup | None = None) -> None:
    """Call an action until its dependency is available; ``start`` records what it waits for.

    Raise DependencyRejected at once, and DependencyUnavailable when ``stop`` is set.
    """

    def is_temporary(error: BaseException) -> bool:
        return isinstance(error, DependencyUnavailable) and not isinstance(error, DependencyRejected)

    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("waiting_for_dependency", error=str(error), attempt=state.attempt_number)
        if start and isinstance(error, DependencyUnavailable):
            start.report_waiting(error)

    Retrying(
        retry=retry_if_exception(is_temporary),
        wait=wait_random_exponential(0.2, max=3),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=report,
        reraise=True,
    )(action)
    if start:
        start.report_waiting(None)


def stop_on_signals(stop: Event, on_stop: Callable[[], None] = lambda: None) -> None:
    """Let SIGTERM and SIGINT request a clean stop; a second one ends the process at once, with code 1."""

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(1)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()
        on_stop()

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
    """Serve the admin port. Raise OSError, which names the variables, if the address is in use.

    ``probes`` send a request to a server; ``health_checks`` return at once what the service has noticed itself. The
    consumer's loop counts for liveness only after the start.
    """
    timed = {name: TimedProbe(name, probe) for name, probe in probes.items()}

    def readiness() -> dict[str, str]:
        noticed = {name: error for name, check in (health_checks or {}).items() if (error := check())}
        known = consumer.health.unavailable() if start.is_complete else start.unavailable()
        return find_unavailable(noticed | known, timed)

    try:
        return admin_server.serve(
            settings.health_host,
            port,
            liveness=lambda: consumer.health.liveness() if start.is_complete else "",
            readiness=readiness,
            endpoints=endpoints,
        )
    except OSError as error:
        raise OSError(
            f"HEALTH_HOST, HEALTH_PORT: cannot listen on {settings.health_host}:{port}: {error}"
        ) from error


def find_unavailable(known: Mapping[str, str], probes: Mapping[str, "TimedProbe"]) -> dict[str, str]:
    """Return known errors by dependency, and those of the other dependencies that fail their probe."""
    probed = {name: error for name, probe in probes.items() if name not in known and (error := probe.check())}
    return {**known, **probed}


class TimedProbe:
    """A probe with a timeout, of which one run is active at a time.

    Where packets are lost, a response may never come; later checks then wait for the same one.
    """

    def __init__(self, dependency: str, probe: Probe, seconds: float = PROBE_TIMEOUT_SECONDS) -> None:
        self._dependency, self._probe, self._seconds = dependency, probe, seconds
        self._lock = Lock()
        self._result: list[str] = []  # the error, or an empty text, once the probe has returned
        self._finished = Event()
        self._finished.set()

    def check(self) -> str:
        """Return why the dependency is unavailable, or an empty text."""
        with self._lock:
            if self._finished.is_set():
                self._result, self._finished = [], Event()
                Thread(target=self._run, args=(self._result, self._finished), daemon=True).start()
            result, finished = self._result, self._finished
        if not finished.wait(self._seconds):
            return str(DependencyUnavailable(self._dependency, f"no response in {self._seconds:g} s"))
        return result[0]

    def _run(self, result: list[str], finished: Event) -> None:
        try:
            self._probe()
            result.append("")
        except DependencyUnavailable as error:
            result.append(str(error))
        except Exception as error:
            log.exception("probe_failed", dependency=self._dependency)
            result.append(error_message(error))
        finally:
            finished.set()
