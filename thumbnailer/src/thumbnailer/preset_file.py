"""Reading presets from a file, and saying of every fault in it where it stands.

The file is YAML. Its scalars are taken as the text that stands there, and the fields' own types decide what that
means: so a version may be 1 or 2026-01-31, and nobody's preset called ``on`` turns into a truth.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from thumbnailer.presets import Animated, Fit, Gravity, OutputFormat, Preset, PresetSet

MOST_PRESETS = 20
LONGEST_EDGE = 16383  # pixels: the most that a WebP can have
MOST_BYTES = 100_000  # twenty presets take five thousand

ORIGINAL = "original"  # what the API calls the upload itself
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_VERSION = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")  # both are part of keys and addresses
_COLOUR = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})|transparent")


class PresetsError(ValueError):
    """What is wrong with a file of presets: a line for each fault, with the file's name, its line and the field."""


def load_default() -> PresetSet:
    """Read the presets that come with the package."""
    with as_file(files("thumbnailer") / "presets.yaml") as path:
        return load_presets(path)


def load_presets(path: Path) -> PresetSet:
    """Read and check a file. Raises PresetsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise PresetsError(f"cannot read {path}: {fault.strerror}") from fault
    if len(data) > MOST_BYTES:
        raise PresetsError(f"{path}: is larger than {MOST_BYTES} bytes, which no file of presets is")
    page = _Page()
    presets = _read_set(_parse(path, data), page)
    if page.faults:
        raise PresetsError("\n".join(f"{path}:{line}: {fault}" for line, fault in sorted(page.faults)))
    return presets


# --- what may stand in a field -----------------------------------------------------------------------------------


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name == ORIGINAL:
        raise ValueError(f"must be 1 to 32 of a-z, 0-9 and -, not begin with - and not be {ORIGINAL}")
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


class _Entry(BaseModel):
    """A preset as its author wrote it: the fields of ``Preset``, where its defaults are."""

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


def _contradictions(preset: _Entry) -> Iterator[tuple[str, str]]:
    """Find what no single field shows: the field to change, and why."""
    if preset.width is None and preset.height is None:
        yield "", "give a width, a height or both"
    elif preset.fit != "inside" and None in {preset.width, preset.height}:
        missing = "width" if preset.width is None else "height"
        yield "fit", f"{preset.fit} needs a {missing} too"
    if preset.format == "jpeg":
        if preset.background == "transparent" or (len(preset.background) == 9 and preset.background[7:] != "ff"):
            yield "background", f"a JPEG cannot show {preset.background}: choose another format or colour"
        if preset.animated == "keep":
            yield "animated", "a JPEG cannot move: choose another format, or first"


# --- where it stands ---------------------------------------------------------------------------------------------


@dataclass
class _Page:
    """The faults that were found, by line."""

    faults: list[tuple[int, str]] = field(default_factory=list)

    def add(self, node: yaml.Node, place: str, complaint: str) -> None:
        self.faults.append((node.start_mark.line + 1, f"{place}: {complaint}" if place else complaint))


def _parse(path: Path, data: bytes) -> yaml.Node | None:
    """Read the YAML. Raises PresetsError."""
    try:
        for event in yaml.parse(data, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few lines of them can stand for gigabytes, or for themselves
                line = event.start_mark.line + 1
                raise PresetsError(f"{path}:{line}: *{event.anchor}: references are not taken, write it out")
        return yaml.compose(data, yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise PresetsError(f"{path}:{mark.line + 1 if mark else 1}: {fault.problem or fault.context}") from fault
    except yaml.reader.ReaderError as fault:
        line = data[: fault.position].count(b"\n") + 1
        raise PresetsError(f"{path}:{line}: {fault.reason}") from fault
    except RecursionError as fault:
        raise PresetsError(f"{path}:1: lists are nested too deep") from fault


def _read_set(root: yaml.Node | None, page: _Page) -> PresetSet:
    """Read the whole; what it gives is worth something only if the page has no fault."""
    if not isinstance(root, yaml.MappingNode):
        page.faults.append((1, "must have the fields version and presets"))
        return PresetSet("", ())
    fields = _read_fields(root, "", page)
    for name, (key, _) in fields.items():
        if name not in {"version", "presets"}:
            page.add(key, name, "there is no such field, only version and presets")
    version = _read_version(root, fields, page)
    entries: list[yaml.Node] = []
    match fields.get("presets"):
        case None:
            page.add(root, "presets", "is required")
        case (key, yaml.SequenceNode(value=[_, *_] as entries)) if len(entries) <= MOST_PRESETS:
            pass
        case (key, _):
            page.add(key, "presets", f"must be a list of 1 to {MOST_PRESETS}")
    presets = [_read_preset(entry, f"presets[{number}]", page) for number, entry in enumerate(entries)]
    _check_names(presets, entries, page)
    return PresetSet(version, tuple(preset for preset in presets if preset))
