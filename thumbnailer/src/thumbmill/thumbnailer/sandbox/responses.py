"""Parses the responses of a child. An image may have taken the child over, so a response may contain anything."""

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.text import replace_unprintable
from thumbmill.thumbnailer.imaging.model import (
    ContentType,
    Cost,
    ImageResult,
    ProcessingOptions,
    SlowImageError,
    UndecodableImageError,
)
from thumbmill.thumbnailer.sandbox.framing import Header

_IMAGE = TypeAdapter(ImageResult)
_COST = TypeAdapter(Cost)
_MAX_DETAIL = 200  # characters, as for all text that comes from a file
_MAX_ERROR = 2000  # characters of a traceback, which goes only to the log
_MAX_EDGE = 2**24  # pixels; more than any supported format has in practice
# The codes with which a child may reject an image; only the parent uses the others.
_REJECTIONS = {ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.UNREADABLE_IMAGE, ErrorCode.IMAGE_TOO_LARGE}
# Offset and bytes of each format's signature, so that nothing else is served with its content type.
_SIGNATURES: dict[ContentType, tuple[int, bytes]] = {
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/webp": (8, b"WEBP"),
    "image/avif": (4, b"ftypavi"),
}


class ChildError(Exception):
    """The child reports an error of its own; ``code`` names the kind, and the text is for the log."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


def parse_response(response: Header, parts: list[bytes], options: ProcessingOptions) -> ImageResult:
    """Return the image of a response.

    Raise UndecodableImageError, SlowImageError or ChildError if the response reports that, and ValueError if it is
    not a valid response.
    """
    match response:
        case {"image": dict(fields)}:
            return _parse_image(fields, parts, options)
        case {"rejected": str(value), "detail": str(detail), **rest}:
            code = ErrorCode(value)
            if code not in _REJECTIONS:
                raise ValueError(f"a child cannot reject an image as {value}")
            cause = replace_unprintable(str(rest.get("cause", "")), _MAX_DETAIL)
            raise UndecodableImageError(code, replace_unprintable(detail, _MAX_DETAIL), cause=cause)
        case {"slow": dict(cost)}:
            raise SlowImageError(_COST.validate_python(cost))
        case {"out_of_memory": True}:
            raise ChildError(ErrorCode.DECODER_OUT_OF_MEMORY, "it reached its memory limit")
        case {"error": str(text)}:
            raise ChildError(ErrorCode.DECODER_CRASHED, replace_unprintable(text, _MAX_ERROR))
        case _:
            raise ValueError(f"unknown keys {replace_unprintable(str(sorted(response)), _MAX_DETAIL)}")


def _parse_image(fields: dict[str, Any], parts: list[bytes], options: ProcessingOptions) -> ImageResult:
    variants = fields.pop("variants", None)
    names = [preset.name for preset in options.presets]
    if not isinstance(variants, list) or len(variants) != len(names) or len(parts) != len(names):
        raise ValueError(f"the response does not have one variant for each of the {len(names)} presets")
    if not all(isinstance(variant, dict) for variant in variants):
        raise ValueError("a variant is not an object")
    try:
        pairs = zip(variants, parts, strict=True)
        joined = [{**variant, "data": data} for variant, data in pairs]
        image: ImageResult = _IMAGE.validate_python({**fields, "variants": joined})
        ImageDetails.model_validate(asdict(image.details))  # an error counts as the child's here, but not later
    except ValidationError as error:  # its text would quote what the child has sent
        raise ValueError(f"the image has {error.error_count()} invalid fields") from None
    if [variant.preset for variant in image.variants] != names:
        raise ValueError("the names of the variants are not those of the presets")
    for variant in image.variants:
        offset, signature = _SIGNATURES[variant.content_type]
        if not variant.data.startswith(signature, offset):
            raise ValueError(f"the bytes of a variant are not {variant.content_type}")
    sizes = [(image.width, image.height), *((variant.width, variant.height) for variant in image.variants)]
    if not all(0 < edge <= _MAX_EDGE for size in sizes for edge in size):
        raise ValueError(f"an edge is not within 1 and {_MAX_EDGE} pixels")
    return image
