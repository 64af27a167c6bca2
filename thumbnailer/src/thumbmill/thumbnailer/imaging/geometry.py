"""The geometry of a variant, in whole pixels."""

from dataclasses import dataclass

from thumbmill.thumbnailer.presets.model import LONGEST_EDGE, Preset

Size = tuple[int, int]  # pixels: width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom

# The part of the padding, or of what is cropped, to the left of the image and above it; in halves.
_ANCHORS = {
    "northwest": (0, 0),
    "north": (1, 0),
    "northeast": (2, 0),
    "west": (0, 1),
    "centre": (1, 1),
    "east": (2, 1),
    "southwest": (0, 2),
    "south": (1, 2),
    "southeast": (2, 2),
}


@dataclass(frozen=True)
class Geometry:
    """An image is scaled to ``scaled``, then cropped or padded to ``final``."""

    scaled: Size
    final: Size
    offset: Size  # of the scaled image's corner in the final one: negative where it is cropped

    @property
    def visible(self) -> Size:
        """Return the size of the part of the scaled image that is not cropped."""
        return min(self.scaled[0], self.final[0]), min(self.scaled[1], self.final[1])

    @property
    def position(self) -> Size:
        """Return the position of the visible part in the final image."""
        return max(0, self.offset[0]), max(0, self.offset[1])

    def visible_box(self, size: Size) -> Box:
        """Return the visible part in the pixel coordinates of an image of another size, with fractions."""
        scale_x, scale_y = size[0] / self.scaled[0], size[1] / self.scaled[1]
        left, top = max(0, -self.offset[0]), max(0, -self.offset[1])
        width, height = self.visible
        return left * scale_x, top * scale_y, (left + width) * scale_x, (top + height) * scale_y


def compute_geometry(size: Size, preset: Preset) -> Geometry:
    """Apply a preset to an image of this size, which is its size after EXIF orientation.

    ``inside`` reduces the image until both edges fit the box. ``cover`` reduces it until one edge would become
    shorter than the box's, and crops the other. ``contain`` is ``inside`` with padding to the size of the box. An
    edge is rounded to the nearest pixel, half a pixel up, and is at least 1. An edge that the preset leaves open
    ends at LONGEST_EDGE. Without enlargement a smaller image keeps its size; ``cover`` then crops only the edges
    that are longer than the box's.
    """
    scaled = _scale(size, preset)
    match preset.fit:
        case "inside":
            final = scaled
        case "contain":
            final = _box(preset)
        case "cover":
            box = _box(preset)
            final = min(scaled[0], box[0]), min(scaled[1], box[1])
    anchor_x, anchor_y = _ANCHORS[preset.gravity]
    offset = (final[0] - scaled[0]) * anchor_x // 2, (final[1] - scaled[1]) * anchor_y // 2
    return Geometry(scaled, final, offset)


def _scale(size: Size, preset: Preset) -> Size:
    # Without LONGEST_EDGE an image of 1 x 50,000 pixels would become a variant that is too long for WebP.
    box = (preset.width or LONGEST_EDGE, preset.height or LONGEST_EDGE)
    ratios = tuple(zip(box, size, strict=True))  # integers: floats would round
    choose = max if preset.fit == "cover" else min
    target, source = choose(ratios, key=lambda ratio: ratio[0] / ratio[1])
    if target > source and not preset.enlarge:
        return size
    width, height = ((2 * edge * target + source) // (2 * source) for edge in size)
    return max(1, width), max(1, height)


def _box(preset: Preset) -> Size:
    if preset.width is None or preset.height is None:
        raise ValueError(f"preset {preset.name}: {preset.fit} needs width and height")
    return preset.width, preset.height
