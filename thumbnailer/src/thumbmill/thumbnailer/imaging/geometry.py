"""Where a picture comes to lie in a variant: whole numbers of pixels, and no pixels themselves."""

from dataclasses import dataclass

from thumbmill.thumbnailer.presets.model import LONGEST_EDGE, Preset

Size = tuple[int, int]  # pixels: width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom

# Which part of the free or surplus space lies left of and above the picture, in halves.
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
    """A picture scaled to ``scaled``, of which ``final`` is shown; the rest of ``final``, if any, is padding."""

    scaled: Size
    final: Size
    offset: Size  # of the scaled picture's corner in the final one: negative where it is cut

    @property
    def visible(self) -> Size:
        """Give the size of what is seen of the scaled picture."""
        return min(self.scaled[0], self.final[0]), min(self.scaled[1], self.final[1])

    @property
    def position(self) -> Size:
        """Give the corner at which the visible part begins in the final picture."""
        return max(0, self.offset[0]), max(0, self.offset[1])

    def visible_box(self, size: Size) -> Box:
        """Give the visible part in the pixels of a picture of another size, with fractions."""
        across, down = size[0] / self.scaled[0], size[1] / self.scaled[1]
        left, top = max(0, -self.offset[0]), max(0, -self.offset[1])
        width, height = self.visible
        return left * across, top * down, (left + width) * across, (top + height) * down


def compute_geometry(size: Size, preset: Preset) -> Geometry:
    """Apply a preset's rule to a picture of this size, as it is shown.

    ``inside`` shrinks it until both edges fit the box; ``cover`` until one of them would become shorter than the
    box's, and cuts the other; ``contain`` is ``inside`` with padding up to the box. An edge is rounded to the
    nearest pixel, half a pixel up, and never becomes 0. One that the preset leaves open ends at LONGEST_EDGE.
    Without enlargement a smaller picture keeps its size: ``cover`` then cuts only what is longer than the box.
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
    across, down = _ANCHORS[preset.gravity]
    return Geometry(scaled, final, ((final[0] - scaled[0]) * across // 2, (final[1] - scaled[1]) * down // 2))


def _scale(size: Size, preset: Preset) -> Size:
    # A picture of 1 x 50,000 pixels would otherwise become a variant that no WebP can hold.
    box = (preset.width or LONGEST_EDGE, preset.height or LONGEST_EDGE)
    scales = tuple(zip(box, size, strict=True))  # as fractions: floats would round
    choose = max if preset.fit == "cover" else min
    wanted, given = choose(scales, key=lambda scale: scale[0] / scale[1])
    if wanted > given and not preset.enlarge:
        return size
    return max(1, (2 * size[0] * wanted + given) // (2 * given)), max(
        1, (2 * size[1] * wanted + given) // (2 * given)
    )


def _box(preset: Preset) -> Size:
    if preset.width is None or preset.height is None:
        raise ValueError(f"preset {preset.name}: {preset.fit} needs width and height")
    return preset.width, preset.height
