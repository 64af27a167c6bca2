"""Colour: from what a file says of its colours to sRGB, for which everybody takes a picture that says nothing.

A profile that can be read comes first; where a PNG's cICP is to come before it, it has been taken out.

To be done to small pictures: a transform costs 20 ns a pixel, a quarter of a second for a photo as it comes.
"""

from functools import lru_cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops, ImageCms

from thumbmill.core.text import sanitize_text
from thumbmill.thumbnailer.imaging.codecs import isobmff, png_chunks
from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding, from_nclx
from thumbmill.thumbnailer.imaging.tone_mapping import apply_encoding

# The space a profile is for, from its header (ICC.1:2022, 7.2.8), and the mode whose pixels it explains.
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_MAX_PROFILE_BYTES = png_chunks.MAX_PROFILE_BYTES  # it bounds what the cache can grow to
_CACHED = 16
_MAX_NAME = 100  # characters
COLOUR_SPACE_KEY = "colour_space"  # in a picture's info: what its colours were before they became sRGB
_UNSEEN_LEVELS = 2  # of 255: the many profiles that call themselves sRGB are this near to each other


def read_encoding(image: Image.Image, data: bytes) -> ColourEncoding | None:
    """Say what an opened picture's levels mean by what stands beside a profile, or None."""
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
    """Read what libheif has found."""
    nclx = info.get("nclx_profile")
    if not isinstance(nclx, dict):
        return None
    peak = (info.get("content_light_level") or {}).get("max_content_light_level", 0)
    return from_nclx(nclx["color_primaries"], nclx["transfer_characteristics"], peak)


def name_colour_space(image: Image.Image, encoding: ColourEncoding | None = None) -> str:
    """Name the space of a picture's colours: as its profile calls itself, else by its encoding, or its pixels."""
    if told := image.info.get(COLOUR_SPACE_KEY):
        return str(told)
    found = _find_profile(image)
    name = _name_profile(found[0]) if found else ""
    if not _is_profile(image.info.get("icc_profile")) and encoding and encoding.name != "sRGB":
        name = encoding.name
    bare = image.mode.removesuffix("A")
    return name or {"L": "Grey", "1": "Grey", "CMYK": "CMYK", "LAB": "Lab"}.get(bare, "sRGB")


def convert_to_srgb(image: Image.Image, encoding: ColourEncoding | None = None) -> Image.Image:
    """Put the colours into sRGB. A profile that is another kind of picture's is ignored; a broken one is none."""
    if encoding and not encoding.is_srgb and not _is_profile(image.info.get("icc_profile")):
        return apply_encoding(image, encoding)
    found = _find_profile(image)
    transform = _find_transform(*found) if found else None
    if found is None or transform is None:
        return image
    _, mode = found
    converted = transform.apply(image.convert(mode))
    if image.mode.endswith("A"):
        converted.putalpha(image.getchannel("A"))
    converted.info = {**image.info}
    return converted


def _find_profile(image: Image.Image) -> tuple[bytes, str] | None:
    """Give a picture's profile and the mode that it explains, unless it is another kind of picture's."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE_BYTES:
        return None
    mode = _MODES.get(profile[16:20])
    bare = image.mode.removesuffix("A")
    return (profile, mode) if mode is not None and (mode == bare or (bare, mode) == ("L", "RGB")) else None


def _is_profile(profile: object) -> bool:
    """Tell whether these bytes are a profile, of whatever kind of picture."""
    return isinstance(profile, bytes) and len(profile) <= _MAX_PROFILE_BYTES and _can_be_opened(profile)


@lru_cache(_CACHED)
def _can_be_opened(profile: bytes) -> bool:
    try:
        ImageCms.ImageCmsProfile(BytesIO(profile))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - that is the answer
        return False
    return True


@lru_cache(_CACHED)
def _name_profile(profile: bytes) -> str:
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a broken profile has no name
        return ""
    return sanitize_text(name, _MAX_NAME)


@lru_cache(_CACHED)
def _find_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Make a profile's transform; None for one that is broken or would change nothing that anybody sees.

    Making one costs up to 3 ms, for CMYK up to 25, and few cameras write different profiles.
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
        return None if _changes_nothing(transform, mode) else transform
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the picture without its profile is better than none
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    probe = Image.linear_gradient("L") if mode == "L" else _every_32nd_colour()
    worst = ImageChops.difference(transform.apply(probe), probe.convert("RGB")).convert("RGB").getextrema()
    return max(level for band in worst if isinstance(band, tuple) for level in band) <= _UNSEEN_LEVELS


def _every_32nd_colour() -> Image.Image:
    levels = [*range(0, 256, 32), 255]
    colours = bytes(level for red in levels for green in levels for blue in levels for level in (red, green, blue))
    return Image.frombytes("RGB", (len(levels), len(levels) ** 2), colours)
