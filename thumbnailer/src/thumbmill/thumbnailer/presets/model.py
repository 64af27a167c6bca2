"""What is made of every picture, as data. ``preset_file`` reads it from a file."""

from dataclasses import dataclass
from typing import Literal

# Our own part of a variant's key: a change of the code that alters bytes raises it, or caches keep the old ones.
RECIPE_VERSION = "4"
LONGEST_EDGE = 16383  # pixels, of any variant: the most that a WebP can have

Fit = Literal["inside", "cover", "contain"]
Gravity = Literal["centre", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"]
OutputFormat = Literal["auto", "jpeg", "webp", "avif", "png"]
Animated = Literal["first", "keep", "reject"]


@dataclass(frozen=True)
class Preset:
    """One kind of variant; edges are of the picture as it is shown."""

    name: str
    width: int | None = None  # pixels; without one, the other edge alone decides
    height: int | None = None  # pixels
    fit: Fit = "inside"  # the box: shrunk into it, cut to fill it, or padded to fill it
    gravity: Gravity = "centre"  # what cover keeps, and where contain puts the picture
    quality: int = 82  # 1 to 100, as the format's own encoder understands it; PNG has none
    format: OutputFormat = "auto"  # JPEG, but WebP for what has alpha or moves
    background: str = "#ffffff"  # or transparent; as padding, and behind alpha where a format has none
    without_enlargement: bool = True
    animated: Animated = "first"  # of an animation: its first frame, all frames, or a failure


@dataclass(frozen=True)
class PresetSet:
    """All variants of a picture."""

    version: str  # the file's own, for its author to raise when it changes
    presets: tuple[Preset, ...]

    @property
    def key_version(self) -> str:
        """Name what made a variant: the presets, and the code that followed them."""
        return f"{self.version}.{RECIPE_VERSION}"
