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
from thumbmill.thumbnailer.imaging.alpha import rescale_trns, to_eight_bits
from thumbmill.thumbnailer.imaging.byte_limit import Original, encode_within_byte_limit
from thumbmill.thumbnailer.imaging.codecs import png, png_chunks
from thumbmill.thumbnailer.imaging.codecs.gif import decode_frames as decode_gif_frames
from thumbmill.thumbnailer.imaging.codecs.gif_blocks import read_gif
from thumbmill.thumbnailer.imaging.codecs.jpeg import FULL_SCALE, scaled_size
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import count_scans
from thumbmill.thumbnailer.imaging.codecs.webp import decode_yuv_scaled
from thumbmill.thumbnailer.imaging.colour import convert_to_srgb, name_colour_space, read_encoding
from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding
from thumbmill.thumbnailer.imaging.damage import load_pixels
from thumbmill.thumbnailer.imaging.encode import encode_animation, pad
from thumbmill.thumbnailer.imaging.exif import Exif, apply_orientation, read_exif
from thumbmill.thumbnailer.imaging.formats import (
    ANIMATED,
    check_frames,
    count_frames,
    map_decode_errors,
    name_format,
    open_image,
    read_headers,
)
from thumbmill.thumbnailer.imaging.geometry import Geometry, Size, compute_geometry
from thumbmill.thumbnailer.imaging.model import (
    Details,
    EncodedVariant,
    ImageResult,
    ProcessingOptions,
    UndecodableImageError,
)
from thumbmill.thumbnailer.imaging.placeholder import make_placeholders
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
class ProcessingContext:
    """A picture on its way through the steps."""

    data: bytes
    options: ProcessingOptions
    image: Image.Image
    format: Format
    size: Size  # pixels, as stored
    slow: bool = True  # it may take more than an ordinary picture
    exif: Exif = field(default_factory=Exif)
    encoding: ColourEncoding | None = None  # what the levels mean, where no profile says it
    frames: int = 1
    colour_space: str = ""
    damaged: bool = False
    variants: list[EncodedVariant] = field(default_factory=list)

    @property
    def displayed_size(self) -> Size:
        """Give the size after orientation."""
        return self.exif.orient(self.size)

    @property
    def geometries(self) -> list[tuple[Preset, Geometry]]:
        """Give what is to be made of the picture, the largest first."""
        pairs = [(preset, compute_geometry(self.displayed_size, preset)) for preset in self.options.presets]
        return sorted(pairs, key=lambda pair: pair[1].scaled, reverse=True)

    @property
    def wanted(self) -> Size:
        """Give the size, as stored, that serves every variant: the largest one's, or the picture's own."""
        _, layout = self.geometries[0]
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
            return FULL_SCALE
        target = self.target
        return next(
            (eighths for eighths in EIGHTHS if fits_within(target, scaled_size(self.size, eighths))), FULL_SCALE
        )


Step = Callable[[ProcessingContext], None]


def process_image(data: bytes, options: ProcessingOptions, *, slow: bool = True) -> ImageResult:
    """Make a picture's variants; unless it may be a ``slow`` one, within an ordinary picture's limits.

    Raises UndecodableImageError, SlowImageError, and MemoryError where the limit is reached.
    """
    data = png_chunks.normalize_chunks(
        data
    )  # which opens nothing; a chunk that does not count shall not be judged by
    if signature := detect_format(data):
        check_structure(data, signature.format, options.limits, slow=slow)
    image = open_image(data)
    context = ProcessingContext(data, options, image, name_format(image), image.size, slow=slow)
    for step in STEPS:
        step(context)
    return ImageResult(
        context.format, *context.displayed_size, context.variants, describe_original(context), context.damaged
    )


# --- before there are pixels -----------------------------------------------------------------------------------


def read_metadata(context: ProcessingContext) -> None:
    """Read EXIF, which says how the edges will lie, and what the file says of its colours."""
    context.exif = read_exif(context.image, keep_gps=context.options.keep_gps)
    context.encoding = read_encoding(context.image, context.data)


def check_limits(context: ProcessingContext) -> None:
    """Refuse what would cost too much, before it does; a slow picture is to come back as one.

    Raises UndecodableImageError, SlowImageError.
    """
    image, limits = context.image, context.options.limits
    check_pixels(context.size, limits)
    scans = count_scans(context.data) if image.info.get("progressive") else 0
    check_scans(scans, image.width * image.height, limits)
    context.frames = count_frames(image, context.data, limits.frames)
    check_frames(image, context.frames, context.options)
    keeps = any(preset.animated == "keep" for preset in context.options.presets)
    decoded = context.frames if keeps and context.format in ANIMATED else 1
    headers = read_headers(image, context.data, context.eighths, scans, decoded)
    check_cost(headers, limits, slow=context.slow)


def shrink_on_load(context: ProcessingContext) -> None:
    """Have Pillow decode a JPEG at 1/2, 1/4 or 1/8, should it be left to it; other formats can't and don't.

    Pillow compares each edge with the target's, so the target must have the picture's proportions: with the
    square box, half of all photos would be decoded at twice the scale they need.
    """
    context.image.draft(None, context.target)


def fits_within(inner: Size, outer: Size) -> bool:
    """Tell whether one size lies within another."""
    return inner[0] <= outer[0] and inner[1] <= outer[1]


# --- from pixels as stored to pixels as wanted: the first frame goes this way, and each one of an animation ----


def decode_first_frame(context: ProcessingContext) -> None:
    """Decode the pixels; of an animation only the first frame."""
    decoded = None
    if context.format == "WEBP":
        decoded = decode_yuv_scaled(context.data, context.image, context.wanted)
    elif context.format == "PNG":
        decoded = png.decode(context.data, context.image)
    if decoded is not None:
        context.image = decoded
    else:
        size = scaled_size(context.size, context.eighths)
        context.image, context.damaged = load_pixels(
            context.image, context.data, size, context.eighths, keep_damaged=context.options.keep_damaged
        )
        context.image = png.AlphaCanvas(context.image.size).compose(context.image)


def prepare_for_resampling(context: ProcessingContext) -> None:
    """Give the picture a mode whose pixels can be averaged; palette entries can't."""
    image = context.image
    if context.format == "PNG":
        rescale_trns(image, context.data)
    if image.mode.startswith("I;16"):
        context.image = to_eight_bits(image)
    elif image.mode in PREMULTIPLIED:
        context.image = image.convert(PREMULTIPLIED[image.mode])
    elif image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        opaque = "L" if image.mode == "1" else "RGB"
        context.image = image.convert("RGBA" if image.has_transparency_data else opaque)
    if context.image.mode not in RESIZABLE:
        raise UndecodableImageError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"a {context.format} with pixels of the kind {image.mode} is not supported",
        )


def resize(context: ProcessingContext) -> None:
    """Average pixels until the picture has the largest variant's size."""
    context.image = scale(context.image, context.wanted)


def apply_exif_orientation(context: ProcessingContext) -> None:
    """Turn the picture as EXIF says; a thousand times cheaper now than before it was small."""
    context.image = apply_orientation(context.image, context.exif.orientation)


def convert_colours(context: ProcessingContext) -> None:
    """Make the colours sRGB's, as nothing in the variants will say that they are others."""
    context.colour_space = name_colour_space(context.image, context.encoding)
    context.image = convert_to_srgb(context.image, context.encoding)


def normalize_mode(context: ProcessingContext) -> None:
    """End with RGB, or RGBA where something shows through, and nothing but pixels."""
    image = context.image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        lowest, _ = image.getchannel("A").getextrema()
        image = image if isinstance(lowest, int) and lowest < 255 else image.convert("RGB")
    context.image = image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")
    context.image.info = {}  # Pillow would write a comment or a profile back


# --- the variants ----------------------------------------------------------------------------------------------


def render_variants(context: ProcessingContext) -> None:
    """Make each variant from the smallest picture that is large enough. The smallest whole one stays in hand."""
    wholes, made = [context.image], dict[str, EncodedVariant]()
    original = Original(len(context.data), context.size, context.format)
    for preset, layout in context.geometries:
        if preset.animated == "keep" and context.frames > 1 and context.format in ANIMATED:
            made[preset.name] = render_animation(context, preset, layout)
            continue
        enough = [whole for whole in wholes if whole.width >= CASCADE_MARGIN * layout.scaled[0]]
        picture = crop_and_scale(enough[-1] if enough else wholes[0], layout)
        if layout.visible == layout.scaled and picture.width < wholes[-1].width:
            wholes.append(picture)
        made[preset.name] = encode_within_byte_limit(pad(picture, preset, layout), preset, original)
    context.variants = [made[preset.name] for preset in context.options.presets]
    context.image = wholes[-1]


def crop_and_scale(image: Image.Image, layout: Geometry) -> Image.Image:
    """Scale what is to be seen of a picture."""
    if image.size == layout.scaled == layout.visible:
        return image
    return scale(image, layout.visible, layout.visible_box(image.size))


def render_animation(context: ProcessingContext, preset: Preset, layout: Geometry) -> EncodedVariant:
    """Take every frame the way of the first."""
    gif = read_gif(context.data) if context.format == "GIF" else None
    moving = decode_gif_frames(context.data, gif) if gif else decode_frames(context)
    frames, milliseconds = list[Image.Image](), list[int]()
    for image, duration in moving:
        milliseconds.append(duration or _FRAME_MILLISECONDS)
        frame = replace(context, image=image)
        for step in PIXEL_STEPS:
            step(frame)
        frames.append(pad(crop_and_scale(frame.image, layout), preset, layout))
    plays = gif.num_plays if gif else int(open_image(context.data).info.get("loop", 1))
    return encode_animation(frames, milliseconds, plays, preset)


def decode_frames(context: ProcessingContext) -> Iterator[tuple[Image.Image, int]]:
    """Have Pillow decode each frame, and give it with how many milliseconds it is shown."""
    source = open_image(context.data)
    canvas = png.AlphaCanvas(source.size)
    for number in range(context.frames):
        with map_decode_errors():
            source.seek(number)
            source.load()
        yield canvas.compose(source.copy()), int(source.info.get("duration", 0))


def describe_original(context: ProcessingContext) -> Details:
    """Say what was learned of the original."""
    dominant_colour, thumbhash = make_placeholders(context.image)
    exif = context.exif
    return Details(
        frames=context.frames,
        has_alpha=context.image.mode == "RGBA",
        colour_space=context.colour_space,
        dominant_colour=dominant_colour,
        thumbhash=thumbhash,
        taken_at=exif.taken_at,
        camera=exif.camera,
        lens=exif.lens,
        gps=exif.gps,
    )


PIXEL_STEPS: tuple[Step, ...] = (
    prepare_for_resampling,
    resize,
    apply_exif_orientation,
    convert_colours,
    normalize_mode,
)
STEPS: tuple[Step, ...] = (
    read_metadata,
    check_limits,
    shrink_on_load,
    decode_first_frame,
    *PIXEL_STEPS,
    render_variants,
)
