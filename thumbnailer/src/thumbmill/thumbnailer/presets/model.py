"""Presets as data; ``presets.file`` reads them from a file."""

from dataclasses import dataclass
from typing import Literal

# The code's part of a variant's key. A code change that alters bytes raises it, or caches keep the old variants.
RECIPE_VERSION = "4"
LONGEST_EDGE = 16383  # pixels, of any variant: WebP's maximum

Fit = Literal["inside", "cover", "contain"]
Gravity = Literal["centre", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"]
OutputFormat = Literal["auto", "jpeg", "webp", "avif", "png"]
Animated = Literal["first", "keep", "reject"]


@dataclass(frozen=True)
class Preset:
    """One kind of variant; edges are those of the image as shown, after its orientation."""

    name: str
    width: int | None = None  # pixels; without it, it follows from the height
    height: int | None = None  # pixels
    fit: Fit = "inside"  # the box: shrunk into it, cropped to fill it, or padded to fill it
    gravity: Gravity = "centre"  # the part that cover keeps, and the place of the image in contain's box
    quality: int = 82  # 1 to 100, as the format's own encoder understands it; PNG has none
    format: OutputFormat = "auto"  # JPEG, but WebP for an image with alpha or animation
    background: str = "#ffffff"  # or transparent; for padding, and behind alpha where a format has none
    enlarge: bool = False
    animated: Animated = "first"  # of an animation: its first frame, all frames, or a failure


@dataclass(frozen=True)
class PresetSet:
    """All presets of a file."""

    version: str  # the file's own, which its author raises with each change
    presets: tuple[Preset, ...]

    @property
    def key_version(self) -> str:
        """The version in a variant's key: that of the presets and that of the code."""
        return f"{self.version}.{RECIPE_VERSION}"
