"""The exceptions that handlers and adapters raise; ``messaging.retry_policy`` has the action for each."""

from pydantic import ValidationError


class RetryLater(Exception):  # noqa: N818 - a request to the consumer, not an error
    """The message cannot be handled now: deliver it later, at no cost in attempts."""


class LaneBusy(RetryLater):
    """The lane of this message is full: deliver it again soon.

    A lane is a group of messages of which only some may be handled at once. The message keeps its name in a header.
    """

    def __init__(self, reason: str, lane: str) -> None:
        super().__init__(reason)
        self.lane = lane


class DependencyUnavailable(Exception):  # noqa: N818
    """A server that every message needs is unavailable: stop consuming until it responds."""

    def __init__(self, dependency: str, cause: object = "") -> None:
        problem = "rejected the request" if isinstance(self, DependencyRejected) else "is unavailable"
        super().__init__(f"{dependency} {problem}: {cause}" if cause else f"{dependency} {problem}")
        self.dependency = dependency


class DependencyRejected(DependencyUnavailable):
    """A server responds and rejects the request. Waiting may not help: at its start, a service exits."""


class MalformedEvent(Exception):  # noqa: N818
    """A body that is not a valid event; the text names the reason."""


def one_line_error(error: Exception) -> str:
    """Return an error as one line for a log or a header."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(step) for step in first['loc']) or 'body'}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def error_message(error: BaseException) -> str:
    """Return an error's message. Without one, as often in pika, return those of its arguments, or its name."""
    return str(error) or ", ".join(map(repr, error.args)) or type(error).__name__
