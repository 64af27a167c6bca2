"""One drill: clients use a system while faults run, the system settles, and everything is checked."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from thumbmill.cli.drill.checker import Checker
from thumbmill.cli.drill.clients import Access, Clients
from thumbmill.cli.drill.history import History
from thumbmill.cli.drill.poller import Poller
from thumbmill.cli.drill.report import CheckResult
from thumbmill.cli.drill.watcher import Watcher

_JOIN_SECONDS = 60  # longer than any request of a client takes

Log = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """The parameters of a drill."""

    seed: int  # of the clients' choices
    clients: int
    settle_seconds: float
    faults: tuple[str, ...] = ("truncate",)  # kinds of bad images
    exclusive: bool = False  # no other client uses the system, so the checker checks everything in it


def run(access: Access, plan: Plan, history: History, meanwhile: Callable[[], object], log: Log) -> CheckResult:
    """Use the system until ``meanwhile`` returns, let it settle, and check it.

    Raise SystemUnresponsiveError, DependencyRejected or DependencyUnavailable if it cannot be checked.
    """
    clients = Clients(access, history, plan.seed, folder=f"drill/{uuid.uuid4()}", faults=plan.faults)
    poller, watcher = Poller(access, history, plan.seed), Watcher(access)
    watcher_thread = watcher.start()  # before the first upload, so that it sees every change
    client_threads, poller_thread = clients.start(plan.clients), poller.start()
    try:
        meanwhile()
    finally:
        clients.stop.set()
    log("no more uploads")
    for thread in client_threads:
        thread.join(_JOIN_SECONDS)
    checker = Checker(access, history, exclusive=plan.exclusive)
    try:
        seconds = checker.settle(plan.settle_seconds, log)
        poller.stop.set()
        poller_thread.join(_JOIN_SECONDS)
        result = checker.check(poller, watcher)
        result.settle_seconds = seconds
    finally:
        poller.stop.set()
        watcher.stop.set()
        checker.close()
    watcher_thread.join(_JOIN_SECONDS)
    return result
