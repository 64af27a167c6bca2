"""The state of one image while it passes through the steps of the pipeline."""

from dataclasses import dataclass, field

from PIL import Image

from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.codecs.jpeg import FULL_SCALE, scaled_size
from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding
from thumbmill.thumbnailer.imaging.exif import Exif
from thumbmill.thumbnailer.imaging.formats import ANIMATED
from thumbmill.thumbnailer.imaging.geometry import Geometry, Size, compute_geometry
from thumbmill.thumbnailer.imaging.model import EncodedVariant, ProcessingOptions
from thumbmill.thumbnailer.presets.model import Preset

# A JPEG is decoded at no less than this many times the target size, so that Lanczos has enough pixels: 49 dB PSNR
# against a full decode. A factor of 2 would be 2.5 dB better and a tenth slower.
DRAFT_MARGIN = 1.5

# The scales at which a JPEG is decoded, as numerators of libjpeg's scale (n/8). 1, 2, 4 and 8 are fast; the others
# cost as much as the next of these, but save resizing. 7 would cost half as much again as 8.
EIGHTHS = (1, 2, 3, 4, 5, 6)


@dataclass
class ProcessingContext:
    """An image in the pipeline."""

    data: bytes
    options: ProcessingOptions
    image: Image.Image
    format: Format
    size: Size  # pixels, before EXIF orientation
    slow: bool = True  # it may take more resources than an ordinary image
    exif: Exif = field(default_factory=Exif)
    encoding: ColourEncoding | None = None  # of the levels, if the file declares one besides a profile
    frames: int = 1
    colour_space: str = ""
    damaged: bool = False
    variants: list[EncodedVariant] = field(default_factory=list)

    @property
    def displayed_size(self) -> Size:
        """Return the size after EXIF orientation."""
        return self.exif.orient(self.size)

    @property
    def geometries(self) -> list[tuple[Preset, Geometry]]:
        """Return the geometry of each preset's variant, the largest variant first."""
        pairs = [(preset, compute_geometry(self.displayed_size, preset)) for preset in self.options.presets]
        return sorted(pairs, key=lambda pair: pair[1].scaled, reverse=True)

    @property
    def target_size(self) -> Size:
        """Return the size, before EXIF orientation, for all variants: that of the largest, or the image's own."""
        _, geometry = self.geometries[0]
        return min(self.exif.orient(geometry.scaled), self.size)

    @property
    def draft_size(self) -> Size:
        """Return the smallest size at which a JPEG may be decoded."""
        width, height = self.target_size
        return int(width * DRAFT_MARGIN), int(height * DRAFT_MARGIN)

    @property
    def eighths(self) -> int:
        """Return the smallest scale that decodes a JPEG at ``draft_size`` or more, in eighths; 8 for others."""
        if self.format != "JPEG":
            return FULL_SCALE
        width, height = self.draft_size
        for eighths in EIGHTHS:
            decoded_width, decoded_height = scaled_size(self.size, eighths)
            if width <= decoded_width and height <= decoded_height:
                return eighths
        return FULL_SCALE

    def keeps_animation(self, preset: Preset) -> bool:
        """Return whether a preset's variant is to be an animation."""
        return preset.animated == "keep" and self.frames > 1 and self.format in ANIMATED
