"""The error codes of FAILED images, as the API shows them, with a message for each.

Decoder processes import this module, so it imports no pydantic.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """A stable code. The sentence that belongs to it may change."""

    UNSUPPORTED_FORMAT = "unsupported_format"
    UNREADABLE_IMAGE = "unreadable_image"
    IMAGE_TOO_LARGE = "image_too_large"
    FILE_TOO_LARGE = "file_too_large"
    EMPTY_FILE = "empty_file"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    DECODER_OUT_OF_MEMORY = "decoder_out_of_memory"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"


MESSAGES = {
    ErrorCode.UNSUPPORTED_FORMAT: "The content is none of the supported image formats.",
    ErrorCode.UNREADABLE_IMAGE: "The file has a supported format, but is damaged or incomplete.",
    ErrorCode.IMAGE_TOO_LARGE: "Decoding the image would take more memory or time than one image may use.",
    ErrorCode.FILE_TOO_LARGE: "The file has more bytes than the service accepts.",
    ErrorCode.EMPTY_FILE: "The file is empty.",
    ErrorCode.DECODER_CRASHED: "The decoder crashed on this image, twice.",
    ErrorCode.DECODER_TIMEOUT: "Decoding the image took more processor time than allowed.",
    ErrorCode.DECODER_OUT_OF_MEMORY: "Decoding the image took more memory than allowed.",
    ErrorCode.ATTEMPTS_EXHAUSTED: "Processing the image failed four times; a later retry may succeed.",
}

# Another run with the same bytes, program and limits can help only where the state of the machine contributed to
# the failure: failed servers, and in part the time and memory that a decoder takes. A decoder that crashes does so
# again; when limits or programs have changed, an operator can retry all images (`thumbmill retry --force`).
RETRYABLE = frozenset({ErrorCode.ATTEMPTS_EXHAUSTED, ErrorCode.DECODER_TIMEOUT, ErrorCode.DECODER_OUT_OF_MEMORY})
