"""Why an image ends as FAILED: the codes that users see, each with what it means for them."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """A code is stable; its sentence may be improved."""

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
    ErrorCode.UNREADABLE_IMAGE: "The file claims a supported format, but is damaged or incomplete.",
    ErrorCode.IMAGE_TOO_LARGE: "Decoding the picture would take more memory or time than the service has for one.",
    ErrorCode.FILE_TOO_LARGE: "The file has more bytes than the service reads.",
    ErrorCode.EMPTY_FILE: "The file holds no bytes.",
    ErrorCode.DECODER_CRASHED: "The decoder died on this picture, twice.",
    ErrorCode.DECODER_TIMEOUT: "The picture took more processor time to decode than allowed.",
    ErrorCode.DECODER_OUT_OF_MEMORY: "The picture took more memory to decode than allowed.",
    ErrorCode.ATTEMPTS_EXHAUSTED: "The service failed on this picture four times; it may work later.",
}

# Another try with the same bytes, by the same program with the same limits, can help only where the state of the
# machine had a part in it: servers that failed, and in part what time and memory a decoder takes. One that crashes
# does so again; when limits or programs have changed, an operator can have all tried (`thumbmill retry --force`).
RETRYABLE = frozenset({ErrorCode.ATTEMPTS_EXHAUSTED, ErrorCode.DECODER_TIMEOUT, ErrorCode.DECODER_OUT_OF_MEMORY})
