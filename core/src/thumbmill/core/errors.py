"""The exceptions that handlers and adapters raise; ``messaging.retry_policy`` decides what follows from each."""

from pydantic import ValidationError

from thumbmill.core.contracts.error_codes import ErrorCode


class RetryLater(Exception):  # noqa: N818 - a word for the handler, not a fault
    """A passing fault about this one object: try it later, at no cost in attempts."""


class LaneBusy(RetryLater):
    """Nothing is wrong with the object, but others like it are before it: try it soon again.

    ``lane`` names what it waits for; its message carries the name from now on.
    """

    def __init__(self, reason: str, lane: str) -> None:
        super().__init__(reason)
        self.lane = lane


class DependencyUnavailable(Exception):  # noqa: N818
    """A server that every message needs is away: stop consuming until it answers."""

    def __init__(self, dependency: str, fault: object = "") -> None:
        what = "rejected the request" if isinstance(self, DependencyRejected) else "is unavailable"
        super().__init__(f"{dependency} {what}: {fault}" if fault else f"{dependency} {what}")
        self.dependency = dependency


class DependencyRejected(DependencyUnavailable):
    """A server is there, but refuses us: waiting may not help, so a service that starts says why and exits."""


class GiveUp(Exception):  # noqa: N818
    """The image itself is at fault: no other try can help."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(f"{code.value}: {detail}" if detail else code.value)
        self.code = code
        self.detail = detail


class MalformedEvent(Exception):  # noqa: N818
    """A body that is no event of ours; the text says why."""


def one_line_error(fault: Exception) -> str:
    """Put a fault into one line for a log or a header."""
    if isinstance(fault, ValidationError):
        first = fault.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(step) for step in first['loc']) or 'body'}: {first['msg']}"
    return f"{type(fault).__name__}: {fault}"


def error_message(fault: BaseException) -> str:
    """Give a fault's own words; where there are none, as often in pika, those of what it wraps, or its name."""
    return str(fault) or ", ".join(map(repr, fault.args)) or type(fault).__name__
