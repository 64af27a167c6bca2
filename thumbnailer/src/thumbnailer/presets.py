"""What is made of every picture, as data."""

from dataclasses import dataclass

# Part of every variant's key: a change that alters bytes needs a new version, or caches keep the old ones.
VERSION = "v2"


@dataclass(frozen=True)
class Preset:
    """One kind of variant."""

    name: str
    edge: int  # pixels: the picture is fitted into a square of this edge, and never enlarged
    quality: int  # 1 to 100, as JPEG and WebP take it


THUMBNAIL = Preset("thumbnail", edge=256, quality=82)
