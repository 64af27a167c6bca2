"""One drill: clients use a system while something happens to it, it settles, and everything is looked at."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from thumbmill.cli.drill.checker import Examiner
from thumbmill.cli.drill.clients import Access, Clients
from thumbmill.cli.drill.history import Ledger
from thumbmill.cli.drill.poller import Observer
from thumbmill.cli.drill.report import Verdict

_HANG_UP_SECONDS = 60  # longer than any request of a client takes

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How a drill is held."""

    seed: int  # decides what the clients do
    clients: int
    settle_seconds: float
    faults: tuple[str, ...] = ("cut",)  # what bad photos may have
    alone: bool = False  # whether nobody else uses the system, so that all that is in it is the drill's


def hold(access: Access, plan: Plan, ledger: Ledger, meanwhile: Callable[[], object], say: Say) -> Verdict:
    """Use the system until ``meanwhile`` returns, then let it settle and judge it.

    Raises NoAnswerError, Refused, DependencyAway where it can't be asked in the end.
    """
    clients = Clients(access, ledger, plan.seed, folder=f"drill/{uuid.uuid4()}", faults=plan.faults)
    observer = Observer(access, ledger, plan.seed)
    threads, watching = clients.run(plan.clients), observer.run()
    try:
        meanwhile()
    finally:
        clients.stop.set()
    say("no more uploads")
    for thread in threads:
        thread.join(_HANG_UP_SECONDS)
    examiner = Examiner(access, ledger, alone=plan.alone)
    try:
        seconds = examiner.settle(plan.settle_seconds, say)
        observer.stop.set()
        watching.join(_HANG_UP_SECONDS)
        verdict = examiner.judge(observer)
        verdict.settle_seconds = seconds
    finally:
        observer.stop.set()
        examiner.close()
    return verdict
