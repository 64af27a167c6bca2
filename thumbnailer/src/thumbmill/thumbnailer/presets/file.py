"""Reads a file of presets and validates it; every error names its line and its field."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from thumbmill.thumbnailer.presets.located_yaml import Loc, YamlSyntaxError, parse_yaml
from thumbmill.thumbnailer.presets.model import (
    LONGEST_EDGE,
    Animated,
    Fit,
    Gravity,
    OutputFormat,
    Preset,
    PresetSet,
)

MAX_PRESETS = 20
MAX_BYTES = 100_000  # twenty presets take five thousand

ORIGINAL = "original"  # what the API calls the upload itself
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_VERSION = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")  # like a name, part of keys and addresses
_COLOUR = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})|transparent")

Issue = tuple[Loc, str]  # a path to a value, and what is wrong there


class PresetsError(ValueError):
    """All that is wrong with a file of presets, one issue a line, each with file, line and field."""


def load_presets(path: Path) -> PresetSet:
    """Read and validate a file. Raise PresetsError with all of its issues."""
    try:
        document = parse_yaml(_read(path))
    except YamlSyntaxError as error:
        raise PresetsError(f"{path}:{error.line}: {error}") from error
    issues = [(loc, f"is repeated; line {line} has it too") for loc, line in document.repeated]
    issues += _find_duplicate_names(document.content)
    presets, invalid = _validate(document.content)
    if issues := issues + invalid:
        sorted_by_line = sorted((document.line(loc), f"{_format_loc(loc)}{text}") for loc, text in issues)
        raise PresetsError("\n".join(f"{path}:{line}: {text}" for line, text in sorted_by_line))
    return presets


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PresetsError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise PresetsError(f"{path}: is larger than {MAX_BYTES} bytes, the limit for a file of presets")
    return data


def _validate(content: Any) -> tuple[PresetSet, list[Issue]]:
    """Return the presets and the issues; the presets are valid only if there are no issues."""
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        details = error.errors(include_url=False)
        return PresetSet("", ()), [issue for detail in details for issue in _describe_error(detail)]
    return PresetSet(file.version, tuple(Preset(**entry.model_dump()) for entry in file.presets)), []


# --- the fields --------------------------------------------------------------------------------------------------


def _check_version(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise ValueError("must have 1 to 32 characters of a-z, 0-9, . and -, the first a letter or digit")
    return version


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name == ORIGINAL:
        raise ValueError(
            f"must have 1 to 32 characters of a-z, 0-9 and -, the first a letter or digit, and not be {ORIGINAL}"
        )
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
    """Return a colour in its long form."""
    colour = colour.lower()
    if not _COLOUR.fullmatch(colour):
        raise ValueError('must be "#rgb", "#rrggbb" or "#rrggbbaa", with the quotes, or transparent')
    return "#" + "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour


Edge = Annotated[int, AfterValidator(_check_edge)]


class Entry(BaseModel):
    """A preset as written in the file; the defaults are those of ``Preset``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_check_name)]
    width: Edge | None = None
    height: Edge | None = None
    fit: Fit = Preset.fit
    gravity: Gravity = Preset.gravity
    quality: Annotated[int, AfterValidator(_check_quality)] = Preset.quality
    format: OutputFormat = Preset.format
    background: Annotated[str, AfterValidator(_check_colour)] = Preset.background
    enlarge: bool = Preset.enlarge
    animated: Animated = Preset.animated

    @model_validator(mode="after")
    def _check(self) -> Self:
        if issues := list(_contradictions(self)):
            raise PydanticCustomError("contradictions", "see its context", {"issues": issues})
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Annotated[str, AfterValidator(_check_version)]
    presets: list[Entry] = Field(min_length=1, max_length=MAX_PRESETS)


def _contradictions(preset: Entry) -> Iterator[tuple[str, str]]:
    """Find issues between fields: the field to change, and the reason."""
    if preset.width is None and preset.height is None:
        yield "width", "give a width, a height or both"
    elif preset.fit != "inside" and None in {preset.width, preset.height}:
        yield "fit", f"{preset.fit} needs both width and height"
    if preset.format == "jpeg":
        if preset.background[7:] not in {"", "ff"}:  # "transparent" has more than an alpha there
            yield "background", f"a JPEG cannot show {preset.background}: choose another format or colour"
        if preset.animated == "keep":
            yield "animated", "a JPEG cannot be animated: choose another format, or animated: first"


def _find_duplicate_names(content: Any) -> list[Issue]:
    """Find names that two presets have."""
    entries = content.get("presets") if isinstance(content, dict) else None
    first: dict[str, int] = {}
    issues: list[Issue] = []
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and first.setdefault(name, number) != number:
            issues.append((("presets", number, "name"), f"presets[{first[name]}] has the name {name} too"))
    return issues


# --- messages ----------------------------------------------------------------------------------------------------

_A_LIST = f"must be a list of 1 to {MAX_PRESETS}"
_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "model_type": "must be a mapping of fields to values",
    "list_type": _A_LIST,
    "too_short": _A_LIST,
    "too_long": _A_LIST,
}
_KINDS = {"int": "must be a whole number", "bool": "must be true or false", "string": "must be a string"}
_RENAMED = {
    "without_enlargement": "is named enlarge since 0.2, with the opposite meaning: true enlarges small images"
}
_PLAIN = re.compile(r"[\w#.+-]{1,40}")


def _describe_error(error: ErrorDetails) -> list[Issue]:
    """Describe an error of pydantic's in terms of the file."""
    loc, kind = error["loc"], error["type"]
    if kind == "contradictions":
        return [((*loc, name), text) for name, text in error["ctx"]["issues"]]
    if kind == "extra_forbidden" and loc[-1] in _RENAMED:
        return [(loc, _RENAMED[str(loc[-1])])]
    if kind in _MESSAGES:
        return [(loc, _MESSAGES[kind])]
    rule = _KINDS.get(kind.partition("_")[0], error["msg"].removeprefix("Value error, "))
    if kind == "literal_error":
        rule = "must be " + error["ctx"]["expected"].replace("'", "")
    return [(loc, f"{rule}, is {_quote(error['input'])}")]


def _quote(given: object) -> str:
    """Quote a value of the file in one short line."""
    if not isinstance(given, str):
        return "a list" if isinstance(given, list) else "a mapping"
    return given if _PLAIN.fullmatch(given) else json.dumps(given[:40], ensure_ascii=False)


def _format_loc(loc: Loc) -> str:
    """Format a path as in code: ``presets[1].quality: ``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    return f"{text}: " if text else ""
