"""The image processing pipeline: a list of steps from the bytes of an original to its variants.

One decode serves all variants. The order of the steps makes it fast: a JPEG is decoded at the scale that the
largest variant needs, every step with a cost for each pixel comes after the image is small, and a small variant is
made from a larger one. It runs in a decoder process.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from PIL import Image

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import detect_format
from thumbmill.thumbnailer.imaging import colour
from thumbmill.thumbnailer.imaging.alpha import rescale_trns, to_8bit
from thumbmill.thumbnailer.imaging.byte_limit import Original, encode_within_byte_limit
from thumbmill.thumbnailer.imaging.codecs import gif, png, png_chunks
from thumbmill.thumbnailer.imaging.codecs.gif_blocks import read_gif
from thumbmill.thumbnailer.imaging.codecs.jpeg import scaled_size
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import count_scans
from thumbmill.thumbnailer.imaging.codecs.webp import decode_yuv_scaled
from thumbmill.thumbnailer.imaging.context import ProcessingContext
from thumbmill.thumbnailer.imaging.damage import decode_pixels
from thumbmill.thumbnailer.imaging.encode import encode_animation, pad
from thumbmill.thumbnailer.imaging.exif import apply_orientation, read_exif
from thumbmill.thumbnailer.imaging.formats import (
    check_frames,
    count_frames,
    map_decode_errors,
    name_format,
    open_image,
    read_headers,
)
from thumbmill.thumbnailer.imaging.geometry import Geometry
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

# A variant is made from a larger one of at least this many times its width, for the same reason as
# ``DRAFT_MARGIN``.
CASCADE_MARGIN = 1.5

# Modes with premultiplied alpha, and the only modes to which Pillow converts them.
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
RESIZABLE = {"L", "LA", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr", "LAB"}

_DEFAULT_FRAME_MILLISECONDS = 100  # if an animation declares no duration

Step = Callable[[ProcessingContext], None]


def process_image(data: bytes, options: ProcessingOptions, *, slow: bool = True) -> ImageResult:
    """Make the variants of an image. Unless ``slow`` is set, it may take only what an ordinary image may take.

    Raise UndecodableImageError, SlowImageError unless ``slow`` is set, and MemoryError at the memory limit.
    """
    data = png_chunks.normalize_chunks(data)  # first: a chunk that is ignored must not make the checks fail
    if signature := detect_format(data):
        check_structure(data, signature.format, options.limits, slow=slow)
    image = open_image(data)
    context = ProcessingContext(data, options, image, name_format(image), image.size, slow=slow)
    for step in STEPS:
        step(context)
    width, height = context.displayed_size
    details = describe_original(context)
    return ImageResult(context.format, width, height, context.variants, details, context.damaged)


# --- before the pixels are decoded -----------------------------------------------------------------------------


def read_metadata(context: ProcessingContext) -> None:
    """Read EXIF, whose orientation may swap the edges, and the colour encoding."""
    context.exif = read_exif(context.image, keep_gps=context.options.keep_gps)
    context.encoding = colour.read_encoding(context.image, context.data)


def check_limits(context: ProcessingContext) -> None:
    """Reject an image that would take too many resources, before it takes them.

    Raise UndecodableImageError, or SlowImageError for an image that belongs in the slow lane.
    """
    image, limits = context.image, context.options.limits
    check_pixels(context.size, limits)
    scans = count_scans(context.data) if image.info.get("progressive") else 0
    check_scans(scans, image.width * image.height, limits)
    context.frames = count_frames(image, context.data, limits.frames)
    check_frames(image, context.frames, context.options)
    keeps_animation = any(context.keeps_animation(preset) for preset in context.options.presets)
    decoded_frames = context.frames if keeps_animation else 1
    headers = read_headers(image, context.data, context.eighths, scans, decoded_frames)
    check_cost(headers, limits, slow=context.slow)


def shrink_on_load(context: ProcessingContext) -> None:
    """Make Pillow decode a JPEG at 1/2, 1/4 or 1/8, in case Pillow has to decode it. Other formats cannot do that.

    Pillow compares each edge with that of the target, so the target needs the proportions of the image. With the
    preset's square box, half of all photos would be decoded at twice the scale they need.
    """
    context.image.draft(None, context.draft_size)


# --- from decoded to displayable pixels: for the first frame, and for each frame of an animation ---------------


def decode_first_frame(context: ProcessingContext) -> None:
    """Decode the pixels; of an animation only the first frame."""
    decoded = None
    if context.format == "WEBP":
        decoded = decode_yuv_scaled(context.data, context.image, context.target_size)
    elif context.format == "PNG":
        decoded = png.decode(context.data, context.image)
    if decoded is not None:
        context.image = decoded
        return
    eighths = context.eighths
    size, keep_damaged = scaled_size(context.size, eighths), context.options.keep_damaged
    image, context.damaged = decode_pixels(context.image, context.data, size, eighths, keep_damaged=keep_damaged)
    context.image = png.AlphaCanvas(image.size).compose(image)


def prepare_for_resampling(context: ProcessingContext) -> None:
    """Convert the image to a mode that can be resampled: expand palettes, bilevel and 16-bit pixels, and tRNS."""
    image = context.image
    if context.format == "PNG":
        rescale_trns(image, context.data)
    if image.mode.startswith("I;16"):
        context.image = to_8bit(image)
    elif image.mode in PREMULTIPLIED:
        context.image = image.convert(PREMULTIPLIED[image.mode])
    elif image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        opaque = "L" if image.mode == "1" else "RGB"
        context.image = image.convert("RGBA" if image.has_transparency_data else opaque)
    if context.image.mode not in RESIZABLE:
        raise UndecodableImageError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"a {context.format} with pixels of the mode {image.mode} is not supported",
        )


def resize(context: ProcessingContext) -> None:
    """Resize the image to the size of the largest variant."""
    context.image = scale(context.image, context.target_size)


def apply_exif_orientation(context: ProcessingContext) -> None:
    """Rotate and mirror the image as EXIF asks for. At this size it costs a thousandth of the original's cost."""
    context.image = apply_orientation(context.image, context.exif.orientation)


def convert_to_srgb(context: ProcessingContext) -> None:
    """Convert the colours to sRGB, because variants carry no profile."""
    context.colour_space = colour.name_colour_space(context.image, context.encoding)
    context.image = colour.convert_to_srgb(context.image, context.encoding)


def normalize_mode(context: ProcessingContext) -> None:
    """Convert the image to RGB, or to RGBA if a pixel is not opaque, and drop all metadata."""
    image = context.image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        lowest, _ = image.getchannel("A").getextrema()
        image = image if isinstance(lowest, int) and lowest < 255 else image.convert("RGB")
    context.image = image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")
    context.image.info = {}  # Pillow would write a comment or a profile into the variants


# --- the variants ----------------------------------------------------------------------------------------------


def render_variants(context: ProcessingContext) -> None:
    """Make each variant from the smallest image that is large enough. The smallest uncropped one stays."""
    uncropped, variants = [context.image], dict[str, EncodedVariant]()
    original = Original(len(context.data), context.size, context.format)
    for preset, geometry in context.geometries:
        if context.keeps_animation(preset):
            variants[preset.name] = render_animation(context, preset, geometry)
            continue
        large_enough = [image for image in uncropped if image.width >= CASCADE_MARGIN * geometry.scaled[0]]
        image = crop_and_scale(large_enough[-1] if large_enough else uncropped[0], geometry)
        if geometry.visible == geometry.scaled and image.width < uncropped[-1].width:
            uncropped.append(image)
        variants[preset.name] = encode_within_byte_limit(pad(image, preset, geometry), preset, original)
    context.variants = [variants[preset.name] for preset in context.options.presets]
    context.image = uncropped[-1]


def crop_and_scale(image: Image.Image, geometry: Geometry) -> Image.Image:
    """Scale the visible part of an image."""
    if image.size == geometry.scaled == geometry.visible:
        return image
    return scale(image, geometry.visible, geometry.visible_box(image.size))


def render_animation(context: ProcessingContext, preset: Preset, geometry: Geometry) -> EncodedVariant:
    """Apply the steps of the first frame to every frame."""
    blocks = read_gif(context.data) if context.format == "GIF" else None
    source = gif.decode_frames(context.data, blocks) if blocks else decode_frames(context)
    frames, milliseconds = list[Image.Image](), list[int]()
    for image, duration in source:
        milliseconds.append(duration or _DEFAULT_FRAME_MILLISECONDS)
        frame = replace(context, image=image)
        for step in PIXEL_STEPS:
            step(frame)
        frames.append(pad(crop_and_scale(frame.image, geometry), preset, geometry))
    loops = blocks.num_plays if blocks else int(open_image(context.data).info.get("loop", 1))
    return encode_animation(frames, milliseconds, loops, preset)


def decode_frames(context: ProcessingContext) -> Iterator[tuple[Image.Image, int]]:
    """Decode the frames of an animation with Pillow. Yield each with its duration in milliseconds."""
    source = open_image(context.data)
    canvas = png.AlphaCanvas(source.size)
    for number in range(context.frames):
        with map_decode_errors():
            source.seek(number)
            source.load()
        yield canvas.compose(source.copy()), int(source.info.get("duration", 0))


def describe_original(context: ProcessingContext) -> Details:
    """Collect the details of the original."""
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
    convert_to_srgb,
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
