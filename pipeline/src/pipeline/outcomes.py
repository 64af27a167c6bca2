"""What a handler can say, and what becomes of its messages: the ack table, in one place.

Handlers return or raise; they never see a delivery tag. ``decide`` reads the table, ``consumer`` carries it out.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from pydantic import ValidationError

from pipeline.errors import ErrorCode

ATTEMPTS = 4  # the first and one for each delay
DELAYS = {"5s": timedelta(seconds=5), "30s": timedelta(seconds=30), "5m": timedelta(minutes=5)}
SHORT_TURNS = 6  # waits for a turn of the shortest delay, half a minute in all; then of the next
SUSPECT_AFTER = 4  # earlier deliveries that ended without a verdict: the fifth is run alone


class RetryLater(Exception):  # noqa: N818 - a word for the handler, not a fault
    """A passing fault about this one object: try it later, at no cost in attempts."""


class WaitForTurn(RetryLater):
    """Nothing is wrong with the object, but others like it are before it: try it soon again.

    ``lane`` names what it waits for; its message carries the name from now on.
    """

    def __init__(self, reason: str, lane: str) -> None:
        super().__init__(reason)
        self.lane = lane


class DependencyAway(Exception):  # noqa: N818
    """A server that every message needs is away: stop consuming until it answers."""

    def __init__(self, dependency: str, fault: object = "") -> None:
        what = "refuses us" if isinstance(self, Refused) else "is away"
        super().__init__(f"{dependency} {what}: {fault}" if fault else f"{dependency} {what}")
        self.dependency = dependency


class Refused(DependencyAway):
    """A server is there, but refuses us: waiting may not help, so a service that starts says why and exits."""


class GiveUp(Exception):  # noqa: N818
    """The image itself is at fault: no other try can help."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(f"{code.value}: {detail}" if detail else code.value)
        self.code = code
        self.detail = detail


class NotAnEvent(Exception):  # noqa: N818
    """A body that is no event of ours; the text says why."""


def explain(fault: Exception) -> str:
    """Put a fault into one line for a log or a header."""
    if isinstance(fault, ValidationError):
        first = fault.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(step) for step in first['loc']) or 'body'}: {first['msg']}"
    return f"{type(fault).__name__}: {fault}"


def describe(fault: BaseException) -> str:
    """Give a fault's own words; where there are none, as often in pika, those of what it wraps, or its name."""
    return str(fault) or ", ".join(map(repr, fault.args)) or type(fault).__name__


class Action(StrEnum):
    """What the runtime does with a delivery."""

    ACK = "ack"
    DELAY = "delay"  # confirmed publish to a delay queue, then ack
    DEAD_LETTER = "dead_letter"  # confirmed publish to the dead queue with the reason, then ack
    GIVE_UP = "give_up"  # the service announces the failure, then ack
    RELEASE = "release"  # back to the queue: whoever comes next handles it


@dataclass(frozen=True)
class Verdict:
    """An action with what it needs; ``attempt`` and ``deferrals`` are those of the message's next delivery."""

    action: Action
    reason: str = ""
    code: ErrorCode | None = None
    delay: str = ""  # a key of DELAYS
    attempt: int = 1
    deferrals: int = 0
    lane: str = ""  # what the message waits for a turn in


def decide(fault: Exception | None, *, attempt: int, deferrals: int, suspect: bool) -> Verdict:
    """Read the ack table.

    ``attempt`` counts from 1, ``deferrals`` the waits that cost none; ``suspect`` says that the broker has
    delivered the message five times, which only a death of the consumer explains.
    """
    match fault:
        case None:
            return Verdict(Action.ACK)
        case DependencyAway():
            return Verdict(Action.RELEASE, str(fault))
        case NotAnEvent():
            return Verdict(Action.DEAD_LETTER, f"not an event: {fault}")
        case GiveUp():
            return Verdict(Action.GIVE_UP, str(fault), code=fault.code, attempt=attempt)
        case WaitForTurn():
            delay = list(DELAYS)[deferrals >= SHORT_TURNS]
            later = deferrals + 1
            return Verdict(
                Action.DELAY, explain(fault), delay=delay, attempt=attempt, deferrals=later, lane=fault.lane
            )
        case RetryLater():
            delay = list(DELAYS)[min(deferrals, len(DELAYS) - 1)]
            return Verdict(Action.DELAY, explain(fault), delay=delay, attempt=attempt, deferrals=deferrals + 1)
        case _ if suspect or attempt >= ATTEMPTS:
            code = ErrorCode.ATTEMPTS_EXHAUSTED
            return Verdict(Action.DEAD_LETTER, explain(fault), code=code, attempt=attempt)
        case _:
            delay = list(DELAYS)[attempt - 1]
            return Verdict(Action.DELAY, explain(fault), delay=delay, attempt=attempt + 1, deferrals=deferrals)
