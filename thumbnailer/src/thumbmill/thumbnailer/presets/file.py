"""Presets as their file has them: read, checked, and every fault named with its line and its field."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from thumbmill.thumbnailer.presets.located_yaml import NotYamlError, Place, read_yaml
from thumbmill.thumbnailer.presets.model import (
    LONGEST_EDGE,
    Animated,
    Fit,
    Gravity,
    OutputFormat,
    Preset,
    PresetSet,
)

MOST_PRESETS = 20
MOST_BYTES = 100_000  # twenty presets take five thousand

ORIGINAL = "original"  # what the API calls the upload itself
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_VERSION = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")  # like a name, part of keys and addresses
_COLOUR = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})|transparent")

Fault = tuple[Place, str]


class PresetsError(ValueError):
    """What is wrong with a file of presets: a line for each fault, which names file, line and field."""


def load_presets(path: Path) -> PresetSet:
    """Read and check a file. Raises PresetsError with all of its faults."""
    try:
        page = read_yaml(_read(path))
    except NotYamlError as fault:
        raise PresetsError(f"{path}:{fault.line}: {fault}") from fault
    faults = [(place, f"stands here again, after line {line}") for place, line in page.repeated]
    faults += _find_twins(page.content)
    presets, misfits = _validate(page.content)
    if faults := faults + misfits:
        told = sorted((page.line(place), f"{_write(place)}{complaint}") for place, complaint in faults)
        raise PresetsError("\n".join(f"{path}:{line}: {text}" for line, text in told))
    return presets


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise PresetsError(f"cannot read {path}: {fault.strerror}") from fault
    if len(data) > MOST_BYTES:
        raise PresetsError(f"{path}: is larger than {MOST_BYTES} bytes, which no file of presets is")
    return data


def _validate(content: Any) -> tuple[PresetSet, list[Fault]]:
    """Make presets of what the file says; they are worth something only where no fault comes with them."""
    try:
        file = _File.model_validate(content)
    except ValidationError as fault:
        errors = fault.errors(include_url=False)
        return PresetSet("", ()), [found for error in errors for found in _explain(error)]
    return PresetSet(file.version, tuple(Preset(**entry.model_dump()) for entry in file.presets)), []


# --- what may stand in a field -----------------------------------------------------------------------------------


def _check_version(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise ValueError("must be 1 to 32 of a-z, 0-9, . and -, and begin with a letter or digit")
    return version


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name == ORIGINAL:
        raise ValueError(f"must be 1 to 32 of a-z, 0-9 and -, begin with a letter or digit, and not be {ORIGINAL}")
    return name


def _check_edge(pixels: int) -> int:
    if not 1 <= pixels <= LONGEST_EDGE:
        raise ValueError(f"must be 1 to {LONGEST_EDGE}")
    return pixels


def _check_quality(quality: int) -> int:
    if not 1 <= quality <= 100:
        raise ValueError("must be 1 to 100")
    return quality


def _check_colour(colour: str) -> str:
    """Give a colour in its long form."""
    colour = colour.lower()
    if not _COLOUR.fullmatch(colour):
        raise ValueError('must be "#rgb", "#rrggbb" or "#rrggbbaa", with the quotes, or transparent')
    return "#" + "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour


Edge = Annotated[int, AfterValidator(_check_edge)]


class Entry(BaseModel):
    """A preset as its author wrote it; what is left out is as in ``Preset``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_check_name)]
    width: Edge | None = None
    height: Edge | None = None
    fit: Fit = Preset.fit
    gravity: Gravity = Preset.gravity
    quality: Annotated[int, AfterValidator(_check_quality)] = Preset.quality
    format: OutputFormat = Preset.format
    background: Annotated[str, AfterValidator(_check_colour)] = Preset.background
    without_enlargement: bool = Preset.without_enlargement
    animated: Animated = Preset.animated

    @model_validator(mode="after")
    def _check(self) -> Self:
        if faults := list(_contradictions(self)):
            raise PydanticCustomError("contradictions", "see its context", {"faults": faults})
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Annotated[str, AfterValidator(_check_version)]
    presets: list[Entry] = Field(min_length=1, max_length=MOST_PRESETS)


def _contradictions(preset: Entry) -> Iterator[tuple[str, str]]:
    """Find what no field shows alone: the field to change, and why."""
    if preset.width is None and preset.height is None:
        yield "width", "give a width, a height or both"
    elif preset.fit != "inside" and None in {preset.width, preset.height}:
        yield "fit", f"{preset.fit} needs both width and height"
    if preset.format == "jpeg":
        if preset.background[7:] not in {"", "ff"}:  # "transparent" has more than an alpha there
            yield "background", f"a JPEG cannot show {preset.background}: choose another format or colour"
        if preset.animated == "keep":
            yield "animated", "a JPEG cannot move: choose another format, or first"


def _find_twins(content: Any) -> list[Fault]:
    """Find names that stand for two presets."""
    entries = content.get("presets") if isinstance(content, dict) else None
    first: dict[str, int] = {}
    faults: list[Fault] = []
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and first.setdefault(name, number) != number:
            faults.append((("presets", number, "name"), f"{name} is the name of presets[{first[name]}] already"))
    return faults


# --- in words ----------------------------------------------------------------------------------------------------

_A_LIST = f"must be a list of 1 to {MOST_PRESETS}"
_COMPLAINTS = {
    "missing": "is required",
    "extra_forbidden": "there is no such field",
    "model_type": "must have fields, each with its name and a colon",
    "list_type": _A_LIST,
    "too_short": _A_LIST,
    "too_long": _A_LIST,
}
_KINDS = {"int": "must be a whole number", "bool": "must be true or false", "string": "must be a text"}
_PLAIN = re.compile(r"[\w#.+-]{1,40}")


def _explain(error: ErrorDetails) -> list[Fault]:
    """Put a finding of pydantic's into words."""
    place, kind = error["loc"], error["type"]
    if kind == "contradictions":
        return [((*place, name), complaint) for name, complaint in error["ctx"]["faults"]]
    if kind in _COMPLAINTS:
        return [(place, _COMPLAINTS[kind])]
    rule = _KINDS.get(kind.partition("_")[0], error["msg"].removeprefix("Value error, "))
    if kind == "literal_error":
        rule = "must be " + error["ctx"]["expected"].replace("'", "")
    return [(place, f"{rule}, is {_quote(error['input'])}")]


def _quote(given: object) -> str:
    """Show what stands in the file, in one short line."""
    if not isinstance(given, str):
        return "a list" if isinstance(given, list) else "a mapping"
    return given if _PLAIN.fullmatch(given) else json.dumps(given[:40], ensure_ascii=False)


def _write(place: Place) -> str:
    """Write a place as people do: ``presets[1].quality: ``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return f"{text}: " if text else ""
