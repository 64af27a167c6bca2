"""Colour management: from the colour space of a file to sRGB, which viewers assume where a file names none.

A readable ICC profile has precedence. Where a PNG's cICP takes precedence over it, ``png_chunks`` has removed the
profile.

Apply it to small images: a transform costs 20 ns a pixel, a quarter of a second for a photo at full size.
"""

from functools import lru_cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops, ImageCms

from thumbmill.core.text import sanitize_text
from thumbmill.thumbnailer.imaging.codecs import isobmff, png_chunks
from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding, from_nclx
from thumbmill.thumbnailer.imaging.tone_mapping import apply_encoding

# The data colour space in a profile's header (ICC.1:2022, 7.2.8), and the mode whose pixels the profile describes.
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_MAX_PROFILE_BYTES = png_chunks.MAX_PROFILE_BYTES  # limits the memory of the cache
_CACHE_SIZE = 16
_MAX_NAME = 100  # characters
COLOUR_SPACE_KEY = "colour_space"  # in an image's info: the colour space it had before the conversion to sRGB
_MAX_IDENTITY_ERROR = 2  # of 255: the many profiles that are named sRGB differ from each other by this much


def read_encoding(image: Image.Image, data: bytes) -> ColourEncoding | None:
    """Return the colour encoding that a file declares besides an ICC profile, or None."""
    match image.format:
        case "PNG":
            return png_chunks.read_encoding(data)
        case "AVIF":
            return isobmff.read_encoding(data)
        case "HEIF":
            return _read_nclx(image.info)
        case _:
            return None


def _read_nclx(info: dict[str | tuple[int, int], Any]) -> ColourEncoding | None:
    """Read the code points that libheif has found."""
    nclx = info.get("nclx_profile")
    if not isinstance(nclx, dict):
        return None
    peak = (info.get("content_light_level") or {}).get("max_content_light_level", 0)
    return from_nclx(nclx["color_primaries"], nclx["transfer_characteristics"], peak)


def name_colour_space(image: Image.Image, encoding: ColourEncoding | None = None) -> str:
    """Return the name of an image's colour space: from its profile, else its encoding, else its mode."""
    if name := image.info.get(COLOUR_SPACE_KEY):
        return str(name)
    found = _find_profile(image)
    name = _name_profile(found[0]) if found else ""
    if not _is_profile(image.info.get("icc_profile")) and encoding and encoding.name != "sRGB":
        name = encoding.name
    opaque_mode = image.mode.removesuffix("A")
    return name or {"L": "Grey", "1": "Grey", "CMYK": "CMYK", "LAB": "Lab"}.get(opaque_mode, "sRGB")


def convert_to_srgb(image: Image.Image, encoding: ColourEncoding | None = None) -> Image.Image:
    """Convert the colours to sRGB. Ignore a profile that is damaged or made for another mode."""
    if encoding and not encoding.is_srgb and not _is_profile(image.info.get("icc_profile")):
        return apply_encoding(image, encoding)
    found = _find_profile(image)
    transform = _build_transform(*found) if found else None
    if found is None or transform is None:
        return image
    _, mode = found
    converted = transform.apply(image.convert(mode))
    if image.mode.endswith("A"):
        converted.putalpha(image.getchannel("A"))
    converted.info = {**image.info}
    return converted


def _find_profile(image: Image.Image) -> tuple[bytes, str] | None:
    """Return an image's profile and the mode that it describes, unless it is made for another mode."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE_BYTES:
        return None
    mode = _MODES.get(profile[16:20])
    opaque_mode = image.mode.removesuffix("A")
    if mode is None or (mode != opaque_mode and (opaque_mode, mode) != ("L", "RGB")):
        return None
    return profile, mode


def _is_profile(profile: object) -> bool:
    """Return whether these bytes are a readable profile of any colour space."""
    return isinstance(profile, bytes) and len(profile) <= _MAX_PROFILE_BYTES and _is_readable(profile)


@lru_cache(_CACHE_SIZE)
def _is_readable(profile: bytes) -> bool:
    try:
        ImageCms.ImageCmsProfile(BytesIO(profile))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - any error means that it is not
        return False
    return True


@lru_cache(_CACHE_SIZE)
def _name_profile(profile: bytes) -> str:
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a damaged profile has no name
        return ""
    return sanitize_text(name, _MAX_NAME)


@lru_cache(_CACHE_SIZE)
def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build a profile's transform to sRGB. Return None if it is damaged or would make no visible difference.

    Building one costs up to 3 ms, for CMYK up to 25 ms, and cameras write few different profiles.
    """
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        transform = ImageCms.ImageCmsTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            srgb,
            mode,
            "RGB",
            intent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if _is_identity(transform, mode) else transform
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - an image without its profile is better than no image
        return None


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    probe = Image.linear_gradient("L") if mode == "L" else _sample_rgb_cube()
    extrema = ImageChops.difference(transform.apply(probe), probe.convert("RGB")).convert("RGB").getextrema()
    return max(level for band in extrema if isinstance(band, tuple) for level in band) <= _MAX_IDENTITY_ERROR


def _sample_rgb_cube() -> Image.Image:
    levels = [*range(0, 256, 32), 255]
    colours = bytes(level for red in levels for green in levels for blue in levels for level in (red, green, blue))
    return Image.frombytes("RGB", (len(levels), len(levels) ** 2), colours)
