"""The ack table: the action for each result of a handler.

Handlers return or raise; they never see a delivery tag. ``decide`` is the table, and ``workers`` applies it.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.errors import (
    DependencyUnavailable,
    LaneBusy,
    MalformedEvent,
    RetryLater,
    one_line_error,
)

MAX_ATTEMPTS = 4  # the first, and one after each delay
DELAYS = {"5s": timedelta(seconds=5), "30s": timedelta(seconds=30), "5m": timedelta(minutes=5)}
SHORT_LANE_DELAYS = 6  # a message waits for its lane in delays of 5 s, half a minute in all; then of 30 s
POISON_THRESHOLD = 4  # earlier deliveries that ended without a decision: the fifth runs alone


class Action(StrEnum):
    """The consumer's action on a delivery."""

    ACK = "ack"
    DELAY = "delay"  # confirmed publish to a delay queue, then ack
    DEAD_LETTER = "dead_letter"  # confirmed publish to the dead letter queue with the reason, then ack
    REQUEUE = "requeue"  # back to the queue, for any consumer


@dataclass(frozen=True)
class Disposition:
    """An action with its parameters; ``attempt`` and ``deferrals`` are those of the message's next delivery."""

    action: Action
    reason: str = ""
    code: ErrorCode | None = None
    delay: str = ""  # a key of DELAYS
    attempt: int = 1
    deferrals: int = 0
    lane: str = ""  # the group of messages with a limit of its own (slow images) in which this one waits
    is_failed_attempt: bool = False  # the consumer calls ``on_failure``, so that the service reports it


def decide(error: Exception | None, *, attempt: int, deferrals: int, possible_poison: bool) -> Disposition:
    """Return the action for a handler's error; None means that it returned.

    ``attempt`` counts from 1, ``deferrals`` counts delays that cost no attempt. ``possible_poison``: RabbitMQ has
    delivered the message five times, which only a crash of the consumer explains.
    """
    match error:
        case None:
            return Disposition(Action.ACK)
        case DependencyUnavailable():
            return Disposition(Action.REQUEUE, str(error))
        case MalformedEvent():
            return Disposition(Action.DEAD_LETTER, f"malformed event: {error}")
        case LaneBusy():
            delay = list(DELAYS)[deferrals >= SHORT_LANE_DELAYS]
            return _delay(error, delay, attempt=attempt, deferrals=deferrals + 1, lane=error.lane)
        case RetryLater():
            delay = list(DELAYS)[min(deferrals, len(DELAYS) - 1)]
            return _delay(error, delay, attempt=attempt, deferrals=deferrals + 1)
        case _ if possible_poison or attempt >= MAX_ATTEMPTS:
            code = ErrorCode.ATTEMPTS_EXHAUSTED
            reason = one_line_error(error)
            return Disposition(Action.DEAD_LETTER, reason, code=code, attempt=attempt, is_failed_attempt=True)
        case _:
            delay = list(DELAYS)[attempt - 1]
            return _delay(error, delay, attempt=attempt + 1, deferrals=deferrals, is_failed_attempt=True)


def _delay(error: Exception, delay: str, **fields: Any) -> Disposition:
    return Disposition(Action.DELAY, one_line_error(error), delay=delay, **fields)
