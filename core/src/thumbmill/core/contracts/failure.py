"""The error of an image, with a code and a sentence for people."""

from thumbmill.core.contracts.base import FrozenModel
from thumbmill.core.contracts.error_codes import MESSAGES, RETRYABLE, ErrorCode


class Failure(FrozenModel):
    """The reason of a FAILED image; the API shows it as ``error``."""

    code: ErrorCode
    detail: str
    retryable: bool

    @classmethod
    def from_code(cls, code: ErrorCode, detail: str = "") -> "Failure":
        """Return the failure that a code means. A ``detail`` that is a whole sentence replaces the message."""
        message = MESSAGES[code]
        if detail and not detail.endswith("."):
            detail = f"{message.removesuffix('.')}: {detail}."
        return cls(code=code, detail=detail or message, retryable=code in RETRYABLE)
