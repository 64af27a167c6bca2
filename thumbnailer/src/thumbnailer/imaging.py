"""From an original's bytes to a variant's, as a list of steps. Runs in a decoder's child process alone.

The order is what makes it fast: a JPEG is decoded at the scale that is needed, and whatever costs time for each
pixel comes after the picture has become small.
"""

from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageFile

from pipeline.errors import ErrorCode
from thumbnailer.imaging_colour import convert_to_srgb
from thumbnailer.imaging_damage import add_data, ends_in_grey
from thumbnailer.imaging_formats import check_cost, damage_told, name_format, open_image
from thumbnailer.pictures import BadPictureError, ContentType, Picture, Rendition
from thumbnailer.presets import Preset
from thumbnailer.scans import drop_unseen_scans

# Reduced decoding stops at this many times the size that is wanted, so that Lanczos has enough to work with:
# 49 dB PSNR against a full decode. At 2 it would be 2.5 dB better and a tenth slower.
DRAFT_MARGIN = 1.5
REDUCING_GAP = 3.0  # likewise for formats that decode at full size only: 8 times faster, 52 dB

_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_ON_ITS_SIDE = 5

Size = tuple[int, int]  # pixels: width, height
Step = Callable[[Image.Image, Size], Image.Image]  # takes the size that is wanted, before any turning


def make_picture(
    data: bytes, preset: Preset, max_pixels: int, memory_bytes: int = 1024**3, max_scans: int = 100
) -> Picture:
    """Make a picture's variant. Raises BadPictureError, and MemoryError where the limit is reached."""
    image = open_image(data)
    check_cost(image, len(data), max_pixels, memory_bytes)
    name, (width, height) = name_format(image), image.size
    wanted = fit(image.size, preset.edge)
    if image.info.get("progressive"):
        shortened = drop_unseen_scans(data, max_scans)
        image = open_image(shortened) if draft_scale(image.size, wanted) == 8 else image
    for step in STEPS:
        image = step(image, wanted)
    if find_orientation(image) >= _FIRST_ON_ITS_SIDE:
        width, height = height, width
    return Picture(name, width, height, [encode(image, preset)])


def shrink_on_load(image: Image.Image, wanted: Size) -> Image.Image:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8; other formats can't and don't.

    Pillow compares each edge with the target's, so the target must have the picture's proportions: with the
    square box, half of all photos would be decoded at twice the scale they need.
    """
    image.draft(None, _with_margin(wanted))
    return image


def draft_scale(size: Size, wanted: Size) -> int:
    """Say by what a JPEG's edges are divided when it is decoded: 8, 4, 2 or 1, as ``draft`` chooses."""
    target = _with_margin(wanted)
    room = min(size[0] // target[0], size[1] // target[1])
    return next((scale for scale in (8, 4, 2) if room >= scale), 1)


def _with_margin(wanted: Size) -> Size:
    return int(wanted[0] * DRAFT_MARGIN), int(wanted[1] * DRAFT_MARGIN)


def load_first_frame(image: Image.Image, wanted: Size) -> Image.Image:
    """Decode the pixels; of an animation only the first frame."""
    file = image.fp if isinstance(image, ImageFile.ImageFile) else None
    with damage_told():
        image.load()
    if isinstance(file, BytesIO) and name_format(image) == "JPEG" and ends_in_grey(image):
        check_end(image, file.getvalue(), wanted)
    return image


def check_end(image: Image.Image, data: bytes, wanted: Size) -> None:
    """Refuse a JPEG that wants more data than it has; see ``imaging_damage``."""
    with damage_told():
        fed = shrink_on_load(open_image(add_data(data)), wanted)
        fed.load()
    if fed.tobytes() != image.tobytes():
        raise BadPictureError(ErrorCode.UNREADABLE_IMAGE, "its data end before the picture does")


def make_resizable(image: Image.Image, _wanted: Size) -> Image.Image:
    """Give the picture a mode whose pixels can be averaged; palette entries can't."""
    if image.mode.startswith("I;16"):
        image.info.pop("transparency", None)  # one grey of 65,536, which no photo uses
        wide = image if image.mode == "I;16" else image.convert("I")  # all that Pillow can do to others
        return wide.point(lambda value: value / 256).convert("L")  # convert alone would clip
    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def resize(image: Image.Image, wanted: Size) -> Image.Image:
    """Average pixels until the picture has its size."""
    return image.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)


def orient(image: Image.Image, _wanted: Size) -> Image.Image:
    """Turn the picture as EXIF says; a thousand times cheaper now than before it was small."""
    turn = _TURNS.get(find_orientation(image))
    return image if turn is None else image.transpose(turn)


def settle_colours(image: Image.Image, _wanted: Size) -> Image.Image:
    """Make the colours sRGB's, as nothing in the variant will say that they are others."""
    return convert_to_srgb(image)


def settle_mode(image: Image.Image, _wanted: Size) -> Image.Image:
    """End with RGB, or RGBA where something shows through."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    lowest, _ = image.getchannel("A").getextrema()
    return image if isinstance(lowest, int) and lowest < 255 else image.convert("RGB")


STEPS: tuple[Step, ...] = (
    shrink_on_load,
    load_first_frame,
    make_resizable,
    resize,
    orient,
    settle_colours,
    settle_mode,
)


def encode(image: Image.Image, preset: Preset) -> Rendition:
    """Write JPEG, or WebP where alpha must be kept; pixels alone, no metadata."""
    bare = image.copy()
    bare.info = {}  # Pillow would write a JPEG's comment back
    out = BytesIO()
    content_type: ContentType
    if bare.mode == "RGBA":
        content_type = "image/webp"
        bare.save(out, "WEBP", quality=preset.quality, method=2)  # method 4 takes twice as long for 3 % less
    else:
        content_type = "image/jpeg"
        bare.save(out, "JPEG", quality=preset.quality)
    return Rendition(preset.name, content_type, bare.width, bare.height, out.getvalue())


def fit(size: Size, edge: int) -> Size:
    """Shrink a size until it fits into a square, keeping its proportions; no edge becomes 0."""
    width, height = size
    scale = min(1.0, edge / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def find_orientation(image: Image.Image) -> int:
    """Read EXIF's orientation, 1 to 8; damaged metadata spoil no picture."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - its parser raises whatever a broken file leads it to
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
