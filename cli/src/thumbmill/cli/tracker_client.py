"""Requests to the admin port of a running status tracker: create one, follow its progress, cancel it."""

from collections.abc import Callable, Mapping
from threading import Event
from time import monotonic
from typing import Any, NoReturn

import httpx

from thumbmill.cli.console import INTERRUPTED, UNAVAILABLE, WRONG_USE, exit_with, open_console, print_status
from thumbmill.cli.settings import load_settings
from thumbmill.cli.signals import stop_on_signals
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.settings import SettingsError

NAME = "status-tracker"
TIMEOUT_SECONDS = 5.0  # for one HTTP request
RESTART_SECONDS = 60.0  # how long a tracker may be unavailable while its request runs
POLL_SECONDS = 0.5
STATUS_LINE_SECONDS = 10.0  # between two lines of progress without a terminal
OPEN_STATES = ("waiting", "running")

Request = dict[str, Any]  # the tracker's JSON about a request
Report = dict[str, Any]


class TrackerClient:
    """Every method raises DependencyUnavailable if no tracker answers, DependencyRejected if it refuses."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        # Ignore HTTP_PROXY: the tracker is not on the internet.
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False, transport=transport)

    def create(self, path: str, parameters: Mapping[str, object]) -> Request:
        return self._send("POST", path, json=parameters)

    def read(self, path: str, request_id: int) -> Request:
        return self._send("GET", path, params={"id": request_id})

    def cancel(self, path: str, request_id: int) -> Request:
        return self._send("POST", f"{path}/cancel", json={"id": request_id})

    def renew_feed(self, operator: str) -> Request:
        return self._send("POST", "/feed/renew", json={"operator": operator})

    def _send(self, method: str, path: str, **content: Any) -> Request:
        try:
            response = self._http.request(method, path, **content)
            answer = (
                response.json() if response.is_success or response.status_code == httpx.codes.BAD_REQUEST else {}
            )
        except (httpx.HTTPError, ValueError) as error:
            raise DependencyUnavailable(NAME, error) from error
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise DependencyUnavailable(NAME, response.text.strip()[:200])
        if not response.is_success or not isinstance(answer, dict) or "state" not in answer:
            reason = answer.get("error") if isinstance(answer, dict) else ""
            advice = reason or "check that the tracker has the same version as this command"
            raise DependencyRejected(NAME, f"{method} {path} returned {response.status_code}: {advice}")
        return answer


def run_request(path: str, parameters: Mapping[str, object], describe: Callable[[Report], str]) -> Report:
    """Have the tracker run a request, show its progress, and return the report.

    End the program with a message if the request does not succeed. SIGINT and SIGTERM cancel it.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        exit_with(str(error), WRONG_USE)
    url = settings.status_tracker_url
    client = TrackerClient(url)
    try:
        with stop_on_signals() as stop:
            request = client.create(path, {**parameters, "operator": settings.thumbmill_operator})
            request = follow(client, path, request, stop, describe)
    except DependencyUnavailable as error:
        exit_with(f"{error} (STATUS_TRACKER_URL={url})", UNAVAILABLE)
    if request["state"] in OPEN_STATES:
        _cancel(client, path, request)
    if request["state"] != "done":
        reason = request["error"] or "it was cancelled"
        exit_with(f"the request ended as {request['state']}: {reason}", UNAVAILABLE)
    report: Report = request["report"]
    return report


def _cancel(client: TrackerClient, path: str, request: Request) -> NoReturn:
    try:
        client.cancel(path, request["id"])
    except DependencyUnavailable as error:
        exit_with(f"interrupted, but request {request['id']} could not be cancelled: {error}", INTERRUPTED)
    exit_with("interrupted; the request is cancelled, and what it has done stays done", INTERRUPTED)


def follow(
    client: TrackerClient, path: str, request: Request, stop: Event, describe: Callable[[Report], str]
) -> Request:
    """Show a request's progress until it ends or ``stop`` is set, and return it.

    A tracker may restart meanwhile. Raise DependencyUnavailable if none answers for RESTART_SECONDS.
    """
    console = open_console(stderr=True)
    answered = shown = monotonic()
    with console.status("waiting for the tracker") as status:
        while True:
            progress = describe(request["report"]) if request["report"] else "waiting for earlier requests"
            status.update(f"{progress}; Ctrl-C cancels")
            if not console.is_terminal and monotonic() >= shown + STATUS_LINE_SECONDS:
                shown = monotonic()
                print_status(progress)
            if request["state"] not in OPEN_STATES or stop.wait(POLL_SECONDS):
                return request
            try:
                request = client.read(path, request["id"])
                answered = monotonic()
            except DependencyRejected:
                raise
            except DependencyUnavailable:
                if monotonic() > answered + RESTART_SECONDS:
                    raise
