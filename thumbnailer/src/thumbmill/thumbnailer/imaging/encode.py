"""Encode pixels as a variant. Only pixels come here: the metadata of an original is never written."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageColor

from thumbmill.thumbnailer.imaging.alpha import bleed_alpha
from thumbmill.thumbnailer.imaging.geometry import Geometry
from thumbmill.thumbnailer.imaging.model import ContentType, EncodedVariant
from thumbmill.thumbnailer.presets.model import Preset

_CONTENT_TYPES: dict[str, ContentType] = {
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "png": "image/png",
}
_LOSSLESS_EFFORT = 20  # of 100: 100 takes five times as long and saves a tenth
_LOSSY_WITH_ALPHA = {"image/webp", "image/avif"}
# The effort that pays: WebP's method 4 takes twice as long and saves 3 %, AVIF's default speed 6 likewise.
_OPTIONS: dict[ContentType, dict[str, Any]] = {
    "image/webp": {"method": 2},
    "image/avif": {"speed": 8, "max_threads": 1},  # one decoder process for each core
}


def pad(image: Image.Image, preset: Preset, geometry: Geometry) -> Image.Image:
    """Pad an image to the size of the variant."""
    if image.size == geometry.final:
        return image
    colour = parse_colour(preset.background)
    mode = "RGBA" if image.mode == "RGBA" or colour[3] < 255 else "RGB"
    canvas = Image.new(mode, geometry.final, colour[: len(mode)])
    canvas.paste(image, geometry.position)
    return canvas


def encode(image: Image.Image, preset: Preset) -> EncodedVariant:
    """Encode an RGB or RGBA image in the preset's format."""
    return _encode_frames([image], preset, choose_format(preset, has_alpha=image.mode == "RGBA"))


def encode_lossless(image: Image.Image, preset: Preset) -> EncodedVariant:
    """Encode an image of any 8-bit mode as lossless WebP or PNG, by the preset's format."""
    content_type = choose_format(preset, has_alpha=False)
    if content_type == "image/png":
        return _save([image], preset, content_type, {"optimize": True})
    options = {"lossless": True, "quality": _LOSSLESS_EFFORT, "method": 1}
    rgb = image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")
    return _save([rgb], preset, content_type, options)


def encode_animation(
    frames: list[Image.Image], milliseconds: list[int], loops: int, preset: Preset
) -> EncodedVariant:
    """Encode frames, each with its duration. 0 ``loops`` means that the animation never stops."""
    content_type = choose_format(preset, has_alpha=True)
    return _encode_frames(frames, preset, content_type, duration=milliseconds, loop=loops)


def choose_format(preset: Preset, *, has_alpha: bool) -> ContentType:
    """Return the preset's format. ``auto`` is JPEG, or WebP for images with alpha."""
    if preset.format == "auto":
        return "image/webp" if has_alpha else "image/jpeg"
    return _CONTENT_TYPES[preset.format]


def parse_colour(text: str) -> tuple[int, int, int, int]:
    """Parse #rgb, #rrggbb, #rrggbbaa or transparent. Raise ValueError for anything else."""
    if text == "transparent":
        return 255, 255, 255, 0
    red, green, blue, *alpha = ImageColor.getrgb(text)
    return red, green, blue, alpha[0] if alpha else 255


def _encode_frames(
    frames: list[Image.Image], preset: Preset, content_type: ContentType, **options: Any
) -> EncodedVariant:
    if content_type in _LOSSY_WITH_ALPHA:
        frames = [bleed_alpha(frame) if frame.mode == "RGBA" else frame for frame in frames]
    image = frames[0]
    if content_type == "image/jpeg" and image.mode == "RGBA":
        image = _flatten(image, preset)
    if content_type != "image/png":
        options["quality"] = preset.quality
    return _save([image, *frames[1:]], preset, content_type, _OPTIONS.get(content_type, {}) | options)


def _flatten(image: Image.Image, preset: Preset) -> Image.Image:
    """Composite an RGBA image onto the preset's background."""
    canvas = Image.new("RGB", image.size, parse_colour(preset.background)[:3])
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _save(
    frames: list[Image.Image], preset: Preset, content_type: ContentType, options: dict[str, Any]
) -> EncodedVariant:
    image, out = frames[0], BytesIO()
    if len(frames) > 1:
        options = options | {"save_all": True, "append_images": frames[1:]}
    image.save(out, content_type.removeprefix("image/"), **options)
    return EncodedVariant(preset.name, content_type, image.width, image.height, out.getvalue())
