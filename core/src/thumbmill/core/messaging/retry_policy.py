"""What a handler can say, and what becomes of its messages: the ack table, in one place.

Handlers return or raise; they never see a delivery tag. ``decide`` reads the table, ``consumer`` carries it out.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.errors import (
    DependencyUnavailable,
    GiveUp,
    LaneBusy,
    MalformedEvent,
    RetryLater,
    one_line_error,
)

ATTEMPTS = 4  # the first and one for each delay
DELAYS = {"5s": timedelta(seconds=5), "30s": timedelta(seconds=30), "5m": timedelta(minutes=5)}
SHORT_TURNS = 6  # waits for a turn of the shortest delay, half a minute in all; then of the next
POISON_THRESHOLD = 4  # earlier deliveries that ended without a verdict: the fifth is run alone


class Action(StrEnum):
    """What the runtime does with a delivery."""

    ACK = "ack"
    DELAY = "delay"  # confirmed publish to a delay queue, then ack
    DEAD_LETTER = "dead_letter"  # confirmed publish to the dead queue with the reason, then ack
    GIVE_UP = "give_up"  # the service announces the failure, then ack
    REQUEUE = "requeue"  # back to the queue: whoever comes next handles it


@dataclass(frozen=True)
class Disposition:
    """An action with what it needs; ``attempt`` and ``deferrals`` are those of the message's next delivery."""

    action: Action
    reason: str = ""
    code: ErrorCode | None = None
    delay: str = ""  # a key of DELAYS
    attempt: int = 1
    deferrals: int = 0
    lane: str = ""  # what the message waits for a turn in


def decide(fault: Exception | None, *, attempt: int, deferrals: int, suspect: bool) -> Disposition:
    """Read the ack table.

    ``attempt`` counts from 1, ``deferrals`` the waits that cost none; ``suspect`` says that the broker has
    delivered the message five times, which only a death of the consumer explains.
    """
    match fault:
        case None:
            return Disposition(Action.ACK)
        case DependencyUnavailable():
            return Disposition(Action.REQUEUE, str(fault))
        case MalformedEvent():
            return Disposition(Action.DEAD_LETTER, f"not an event: {fault}")
        case GiveUp():
            return Disposition(Action.GIVE_UP, str(fault), code=fault.code, attempt=attempt)
        case LaneBusy():
            delay = list(DELAYS)[deferrals >= SHORT_TURNS]
            later = deferrals + 1
            return Disposition(
                Action.DELAY, one_line_error(fault), delay=delay, attempt=attempt, deferrals=later, lane=fault.lane
            )
        case RetryLater():
            delay = list(DELAYS)[min(deferrals, len(DELAYS) - 1)]
            return Disposition(
                Action.DELAY, one_line_error(fault), delay=delay, attempt=attempt, deferrals=deferrals + 1
            )
        case _ if suspect or attempt >= ATTEMPTS:
            code = ErrorCode.ATTEMPTS_EXHAUSTED
            return Disposition(Action.DEAD_LETTER, one_line_error(fault), code=code, attempt=attempt)
        case _:
            delay = list(DELAYS)[attempt - 1]
            return Disposition(
                Action.DELAY, one_line_error(fault), delay=delay, attempt=attempt + 1, deferrals=deferrals
            )
