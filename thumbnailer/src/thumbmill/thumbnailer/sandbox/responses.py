"""Understanding what a child answers. A picture may have taken the child over, so it may answer anything."""

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

_PICTURE = TypeAdapter(ImageResult)
_COST = TypeAdapter(Cost)
_MAX_DETAIL = 200  # characters, as of all words that come from a file
_MAX_FAULT = 2000  # likewise of a traceback, which goes to the log alone
_MAX_EDGE = 2**24  # pixels; no format that is taken has longer ones but in theory
# What a picture can be at fault for; the other codes are not a child's to give.
_VERDICTS = {ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.UNREADABLE_IMAGE, ErrorCode.IMAGE_TOO_LARGE}
_SIGNATURES: dict[
    ContentType, tuple[int, bytes]
] = {  # what a variant has where, so that nothing else is served as one
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/webp": (8, b"WEBP"),
    "image/avif": (4, b"ftypavi"),
}


class ChildFaultError(Exception):
    """The child reports a fault of its own; ``code`` names the kind, the text is for the log."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


def read_answer(answer: Header, parts: list[bytes], recipe: ProcessingOptions) -> ImageResult:
    """Understand an answer to a picture.

    Raises what it stands for (UndecodableImageError, SlowImageError, ChildFaultError), and ValueError where it makes
    no sense.
    """
    match answer:
        case {"picture": dict(fields)}:
            return _read_picture(fields, parts, recipe)
        case {"bad": str(code), "detail": str(detail), **rest}:
            verdict = ErrorCode(code)
            if verdict not in _VERDICTS:
                raise ValueError(f"a verdict that no child can give: {code}")
            cause = replace_unprintable(str(rest.get("cause", "")), _MAX_DETAIL)
            raise UndecodableImageError(verdict, replace_unprintable(detail, _MAX_DETAIL), cause=cause)
        case {"slow": dict(cost)}:
            raise SlowImageError(_COST.validate_python(cost))
        case {"out_of_memory": True}:
            raise ChildFaultError(ErrorCode.DECODER_OUT_OF_MEMORY, "it reached its memory limit")
        case {"fault": str(text)}:
            raise ChildFaultError(ErrorCode.DECODER_CRASHED, replace_unprintable(text, _MAX_FAULT))
        case _:
            raise ValueError(f"unknown keys {replace_unprintable(str(sorted(answer)), _MAX_DETAIL)}")


def _read_picture(fields: dict[str, Any], parts: list[bytes], recipe: ProcessingOptions) -> ImageResult:
    variants = fields.pop("variants", None)
    names = [preset.name for preset in recipe.presets]
    if not isinstance(variants, list) or len(variants) != len(names) or len(parts) != len(names):
        raise ValueError("other variants than were asked for")
    if not all(isinstance(rendition, dict) for rendition in variants):
        raise ValueError("variants that are none")
    try:
        pairs = zip(variants, parts, strict=True)
        joined = [{**rendition, "data": data} for rendition, data in pairs]
        picture: ImageResult = _PICTURE.validate_python({**fields, "variants": joined})
        ImageDetails.model_validate(asdict(picture.details))  # or it would fail where no picture is to blame
    except ValidationError as fault:  # its text would quote what the child has sent
        raise ValueError(f"no picture: {fault.error_count()} faults") from None
    if [rendition.preset for rendition in picture.variants] != names:
        raise ValueError("variants of other names than were asked for")
    for rendition in picture.variants:
        at, signature = _SIGNATURES[rendition.content_type]
        if not rendition.data.startswith(signature, at):
            raise ValueError(f"a variant that is no {rendition.content_type}")
    sizes = [(picture.width, picture.height), *((each.width, each.height) for each in picture.variants)]
    if not all(0 < edge <= _MAX_EDGE for size in sizes for edge in size):
        raise ValueError("edges that no picture has")
    return picture
