"""From an original's bytes to its variants, as a list of steps. Runs in a decoder's child process alone.

One decode serves all variants. The order is what makes it fast: a JPEG is decoded at the scale that the largest
variant needs, whatever costs time for each pixel comes after the picture has become small, and a small variant is
made from a larger one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from PIL import Image

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format, detect_format
from thumbmill.thumbnailer.imaging.alpha import settle_clear_colour, to_eight_bits
from thumbmill.thumbnailer.imaging.byte_limit import Original, encode_within
from thumbmill.thumbnailer.imaging.codecs import png, png_chunks
from thumbmill.thumbnailer.imaging.codecs.gif import animate as animate_gif
from thumbmill.thumbnailer.imaging.codecs.gif_blocks import read_gif
from thumbmill.thumbnailer.imaging.codecs.jpeg import WHOLE, reduce
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import count_scans
from thumbmill.thumbnailer.imaging.codecs.webp import scale_planes
from thumbmill.thumbnailer.imaging.colour import convert_to_srgb, name_colour_space, read_encoding
from thumbmill.thumbnailer.imaging.colour_encodings import Encoding
from thumbmill.thumbnailer.imaging.damage import load_pixels
from thumbmill.thumbnailer.imaging.encode import encode_animation, place
from thumbmill.thumbnailer.imaging.exif import Exif, read_exif, turn
from thumbmill.thumbnailer.imaging.formats import (
    ANIMATED,
    check_frames,
    count_frames,
    damage_told,
    name_format,
    open_image,
    read_headers,
)
from thumbmill.thumbnailer.imaging.geometry import Layout, Size, lay_out
from thumbmill.thumbnailer.imaging.model import (
    Details,
    Picture,
    ProcessingOptions,
    Rendition,
    UndecodableImageError,
)
from thumbmill.thumbnailer.imaging.placeholder import describe_pixels
from thumbmill.thumbnailer.imaging.preflight.costs import check_cost, check_pixels, check_scans
from thumbmill.thumbnailer.imaging.preflight.structure import check_structure
from thumbmill.thumbnailer.imaging.resize import scale
from thumbmill.thumbnailer.presets.model import Preset

# Reduced decoding stops at this many times the size that is wanted, so that Lanczos has enough to work with:
# 49 dB PSNR against a full decode. At 2 it would be 2.5 dB better and a tenth slower.
DRAFT_MARGIN = 1.5
CASCADE_MARGIN = 1.5  # likewise for a variant that is made from a larger one

# At which a JPEG is decoded. 1, 2, 4 and 8 are quick; the others cost as much as the next of those, and spare
# scaling. 7 would cost half as much again as 8.
EIGHTHS = (1, 2, 3, 4, 5, 6)

# Modes whose colours have been multiplied by their alpha, which Pillow converts to these and no others.
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
RESIZABLE = {"L", "LA", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr", "LAB"}

_FRAME_MILLISECONDS = 100  # where an animation does not say


@dataclass
class Work:
    """A picture on its way through the steps."""

    data: bytes
    recipe: ProcessingOptions
    image: Image.Image
    format: Format
    size: Size  # pixels, as stored
    slow: bool = True  # it may take more than an ordinary picture
    exif: Exif = field(default_factory=Exif)
    encoding: Encoding | None = None  # what the levels mean, where no profile says it
    frames: int = 1
    colour_space: str = ""
    damaged: bool = False
    renditions: list[Rendition] = field(default_factory=list)

    @property
    def shown(self) -> Size:
        """Give the size after orientation."""
        return self.exif.orient(self.size)

    @property
    def layouts(self) -> list[tuple[Preset, Layout]]:
        """Give what is to be made of the picture, the largest first."""
        pairs = [(preset, lay_out(self.shown, preset)) for preset in self.recipe.presets]
        return sorted(pairs, key=lambda pair: pair[1].scaled, reverse=True)

    @property
    def wanted(self) -> Size:
        """Give the size, as stored, that serves every variant: the largest one's, or the picture's own."""
        _, layout = self.layouts[0]
        return min(self.exif.orient(layout.scaled), self.size)

    @property
    def target(self) -> Size:
        """Give the least size at which a JPEG may be decoded."""
        width, height = self.wanted
        return int(width * DRAFT_MARGIN), int(height * DRAFT_MARGIN)

    @property
    def eighths(self) -> int:
        """Say how much of a JPEG's edges is decoded, in eighths: as little as the target allows. 8 for others."""
        if self.format != "JPEG":
            return WHOLE
        target = self.target
        return next((eighths for eighths in EIGHTHS if fits(target, reduce(self.size, eighths))), WHOLE)


Step = Callable[[Work], None]


def make_picture(data: bytes, recipe: ProcessingOptions, *, slow: bool = True) -> Picture:
    """Make a picture's variants; unless it may be a ``slow`` one, within an ordinary picture's limits.

    Raises BadPictureError, SlowPictureError, and MemoryError where the limit is reached.
    """
    data = png_chunks.tidy(data)  # which opens nothing; a chunk that does not count shall not be judged by
    if signature := detect_format(data):
        check_structure(data, signature.format, recipe.limits, slow=slow)
    image = open_image(data)
    work = Work(data, recipe, image, name_format(image), image.size, slow=slow)
    for step in STEPS:
        step(work)
    return Picture(work.format, *work.shown, work.renditions, describe(work), work.damaged)


# --- before there are pixels -----------------------------------------------------------------------------------


def read_metadata(work: Work) -> None:
    """Read EXIF, which says how the edges will lie, and what the file says of its colours."""
    work.exif = read_exif(work.image, keep_gps=work.recipe.keep_gps)
    work.encoding = read_encoding(work.image, work.data)


def check_limits(work: Work) -> None:
    """Refuse what would cost too much, before it does; a slow picture is to come back as one.

    Raises BadPictureError, SlowPictureError.
    """
    image, limits = work.image, work.recipe.limits
    check_pixels(work.size, limits)
    scans = count_scans(work.data) if image.info.get("progressive") else 0
    check_scans(scans, image.width * image.height, limits)
    work.frames = count_frames(image, work.data, limits.frames)
    check_frames(image, work.frames, work.recipe)
    keeps = any(preset.animated == "keep" for preset in work.recipe.presets)
    decoded = work.frames if keeps and work.format in ANIMATED else 1
    headers = read_headers(image, work.data, work.eighths, scans, decoded)
    check_cost(headers, limits, slow=work.slow)


def shrink_on_load(work: Work) -> None:
    """Have Pillow decode a JPEG at 1/2, 1/4 or 1/8, should it be left to it; other formats can't and don't.

    Pillow compares each edge with the target's, so the target must have the picture's proportions: with the
    square box, half of all photos would be decoded at twice the scale they need.
    """
    work.image.draft(None, work.target)


def fits(inner: Size, outer: Size) -> bool:
    """Tell whether one size lies within another."""
    return inner[0] <= outer[0] and inner[1] <= outer[1]


# --- from pixels as stored to pixels as wanted: the first frame goes this way, and each one of an animation ----


def load_first_frame(work: Work) -> None:
    """Decode the pixels; of an animation only the first frame."""
    decoded = None
    if work.format == "WEBP":
        decoded = scale_planes(work.data, work.image, work.wanted)
    elif work.format == "PNG":
        decoded = png.decode(work.data, work.image)
    if decoded is not None:
        work.image = decoded
    else:
        size = reduce(work.size, work.eighths)
        work.image, work.damaged = load_pixels(
            work.image, work.data, size, work.eighths, keep_damaged=work.recipe.keep_damaged
        )
        work.image = png.Canvas(work.image.size).show(work.image)


def make_resizable(work: Work) -> None:
    """Give the picture a mode whose pixels can be averaged; palette entries can't."""
    image = work.image
    if work.format == "PNG":
        settle_clear_colour(image, work.data)
    if image.mode.startswith("I;16"):
        work.image = to_eight_bits(image)
    elif image.mode in PREMULTIPLIED:
        work.image = image.convert(PREMULTIPLIED[image.mode])
    elif image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        opaque = "L" if image.mode == "1" else "RGB"
        work.image = image.convert("RGBA" if image.has_transparency_data else opaque)
    if work.image.mode not in RESIZABLE:
        raise UndecodableImageError(
            ErrorCode.UNSUPPORTED_FORMAT, f"a {work.format} with pixels of the kind {image.mode} is not supported"
        )


def resize(work: Work) -> None:
    """Average pixels until the picture has the largest variant's size."""
    work.image = scale(work.image, work.wanted)


def orient(work: Work) -> None:
    """Turn the picture as EXIF says; a thousand times cheaper now than before it was small."""
    work.image = turn(work.image, work.exif.orientation)


def settle_colours(work: Work) -> None:
    """Make the colours sRGB's, as nothing in the variants will say that they are others."""
    work.colour_space = name_colour_space(work.image, work.encoding)
    work.image = convert_to_srgb(work.image, work.encoding)


def settle_mode(work: Work) -> None:
    """End with RGB, or RGBA where something shows through, and nothing but pixels."""
    image = work.image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        lowest, _ = image.getchannel("A").getextrema()
        image = image if isinstance(lowest, int) and lowest < 255 else image.convert("RGB")
    work.image = image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")
    work.image.info = {}  # Pillow would write a comment or a profile back


# --- the variants ----------------------------------------------------------------------------------------------


def make_variants(work: Work) -> None:
    """Make each variant from the smallest picture that is large enough. The smallest whole one stays in hand."""
    wholes, made = [work.image], dict[str, Rendition]()
    original = Original(len(work.data), work.size, work.format)
    for preset, layout in work.layouts:
        if preset.animated == "keep" and work.frames > 1 and work.format in ANIMATED:
            made[preset.name] = make_animation(work, preset, layout)
            continue
        enough = [whole for whole in wholes if whole.width >= CASCADE_MARGIN * layout.scaled[0]]
        picture = cut(enough[-1] if enough else wholes[0], layout)
        if layout.visible == layout.scaled and picture.width < wholes[-1].width:
            wholes.append(picture)
        made[preset.name] = encode_within(place(picture, preset, layout), preset, original)
    work.renditions = [made[preset.name] for preset in work.recipe.presets]
    work.image = wholes[-1]


def cut(image: Image.Image, layout: Layout) -> Image.Image:
    """Scale what is to be seen of a picture."""
    if image.size == layout.scaled == layout.visible:
        return image
    return scale(image, layout.visible, layout.visible_box(image.size))


def make_animation(work: Work, preset: Preset, layout: Layout) -> Rendition:
    """Take every frame the way of the first."""
    gif = read_gif(work.data) if work.format == "GIF" else None
    moving = animate_gif(work.data, gif) if gif else animate(work)
    frames, milliseconds = list[Image.Image](), list[int]()
    for image, duration in moving:
        milliseconds.append(duration or _FRAME_MILLISECONDS)
        frame = replace(work, image=image)
        for step in TO_WANTED_PIXELS:
            step(frame)
        frames.append(place(cut(frame.image, layout), preset, layout))
    plays = gif.plays if gif else int(open_image(work.data).info.get("loop", 1))
    return encode_animation(frames, milliseconds, plays, preset)


def animate(work: Work) -> Iterator[tuple[Image.Image, int]]:
    """Have Pillow decode each frame, and give it with how many milliseconds it is shown."""
    source = open_image(work.data)
    canvas = png.Canvas(source.size)
    for number in range(work.frames):
        with damage_told():
            source.seek(number)
            source.load()
        yield canvas.show(source.copy()), int(source.info.get("duration", 0))


def describe(work: Work) -> Details:
    """Say what was learned of the original."""
    dominant_colour, thumbhash = describe_pixels(work.image)
    exif = work.exif
    return Details(
        frames=work.frames,
        has_alpha=work.image.mode == "RGBA",
        colour_space=work.colour_space,
        dominant_colour=dominant_colour,
        thumbhash=thumbhash,
        taken_at=exif.taken_at,
        camera=exif.camera,
        lens=exif.lens,
        gps=exif.gps,
    )


TO_WANTED_PIXELS: tuple[Step, ...] = (make_resizable, resize, orient, settle_colours, settle_mode)
STEPS: tuple[Step, ...] = (
    read_metadata,
    check_limits,
    shrink_on_load,
    load_first_frame,
    *TO_WANTED_PIXELS,
    make_variants,
)
