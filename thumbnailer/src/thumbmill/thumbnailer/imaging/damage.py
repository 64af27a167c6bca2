"""Detect damaged files, and decode what is left of them if the options keep damaged images.

Most formats reveal damage by their checksums or their strict structure. A JPEG does not: its decoder fills in what
is missing, mostly with mid-grey, and only warns. A warning of libjpeg means one of three cases (docs/decisions/009
lists all of its texts, which are those of jerror.h):

- harmless, because no pixel depends on it: fields with only one valid value, and junk between the header's segments
  or in metadata (all of it is corrected for a second attempt), a missing end marker, surplus bytes after the last
  scan, or fill bytes there;
- invisible damage: the file ends a few blocks too early, or within a scan that only refines known coefficients.
  Such an image is DONE, and marked as damaged;
- visible damage, which is everything else: the file is rejected.

libjpeg does not check for scans that are missing completely, so this module does. Data after the end of the image,
such as a video or further images, is never read.

Some damage cannot be detected. Data that still decode to the right number of blocks may contain a flipped bit that
shifts the colours of what follows. Scans that are skipped, because the variants do not need them, are not checked.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile

from thumbmill.thumbnailer.imaging.codecs import gif
from thumbmill.thumbnailer.imaging.codecs.jpeg import decode, decode_dc_only
from thumbmill.thumbnailer.imaging.codecs.jpeg_dc_only import measure_scan
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import (
    ends_with_refinement,
    ends_with_zeros,
    is_missing_scans,
    is_truncated,
    strip_metadata,
)
from thumbmill.thumbnailer.imaging.codecs.tiff import reader
from thumbmill.thumbnailer.imaging.formats import map_decode_errors, name_format, open_image
from thumbmill.thumbnailer.imaging.geometry import Size
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd([0-79])")  # RST0 to RST7, or EOI
_LESS_THAN_A_BLOCK = 4  # bytes, besides up to eight that libjpeg has buffered and does not count
_SECTOR = 512  # bytes: a disk loses at least one sector, so fewer are junk or fill bytes
# MCUs that may be missing at the end of a file: a maximum, and a share of all; but at least one unless the image is
# very small. An MCU mostly has 16 x 16 pixels: of a photo, a strip of 1 x 16 pixels in its thumbnail.
_MAX_LOST_MCUS, _MCUS_FOR_ONE_LOST = 16, 200
_MIN_MCUS = 20  # with fewer, none may be missing


@dataclass(frozen=True)
class _Damage:
    """A file's damage, if any, and whether it is visible."""

    text: str = ""
    visible: bool = True


_INTACT = _Damage()


def decode_pixels(
    header: Image.Image, data: bytes, size: Size, eighths: int, *, keep_damaged: bool
) -> tuple[Image.Image, bool]:
    """Decode an opened image from the ``data`` of its file. Return it, and whether it is damaged.

    A JPEG is decoded at ``size``, which is ``eighths`` of its edges. Raise UndecodableImageError for visible damage
    unless damaged images are kept, and for files of which no pixel can be decoded.
    """
    name = name_format(header)
    if name == "TIFF" and (tiff := reader.decode_tiff(data, header, keep_damaged=keep_damaged)):
        return tiff
    try:
        if name == "JPEG":
            image, damage = _decode_jpeg(header, data, size, eighths)
        elif name == "GIF":
            image, damage = gif.decode_first_frame(data), _INTACT
        else:
            image, damage = _load(header), _INTACT
    except UndecodableImageError as error:
        if not keep_damaged:
            raise
        return _decode_remains(header, data, error), True
    if damage.text and damage.visible and not keep_damaged:
        raise UndecodableImageError.unreadable(damage.text, truncated=is_truncated(data))
    return image, bool(damage.text)


def _load(header: Image.Image) -> Image.Image:
    with map_decode_errors():
        header.load()
    return header


def _decode_jpeg(header: Image.Image, data: bytes, size: Size, eighths: int) -> tuple[Image.Image, _Damage]:
    if eighths == 1 and (image := decode_dc_only(header, data, size)):
        return image, _INTACT  # it checks for all scans, and leaves everything that libjpeg warns of to libjpeg
    damage = _Damage("the last of its scans are missing") if is_missing_scans(data) else _INTACT
    decoded, stripped = decode(header, data, size, eighths), data
    if decoded.warning:
        stripped = strip_metadata(data)
        decoded = decode(header, stripped, size, eighths, keep_damaged=True)
    if decoded.image is None:  # a chroma subsampling that simplejpeg does not support, or no image data: try Pillow
        return _load(header), damage
    if decoded.warning and damage == _INTACT:
        damage = _classify_damage(decoded.warning, stripped, truncated=is_truncated(data))
    return decoded.image, damage


def _classify_damage(warning: str, data: bytes, *, truncated: bool) -> _Damage:
    """Classify a JPEG's damage by libjpeg's first warning, and by how many of its MCUs can be decoded.

    Damage in the middle often shows only at the end: Huffman codes resynchronize, and a few blocks too few or too
    many remain. The position of the last block distinguishes it from truncated data and from trailing junk.
    """
    surplus = _SURPLUS.search(warning)
    count = int(surplus[1]) if surplus else 0
    at_end = surplus is not None and surplus[2] == "9"
    is_small = surplus is not None and count < (_SECTOR if at_end else _LESS_THAN_A_BLOCK)
    extent = measure_scan(data)
    if extent is None:  # progressive, or an uncommon kind
        if at_end and is_small and (count < _LESS_THAN_A_BLOCK or ends_with_zeros(data, count)):
            return _INTACT
        return _Damage(warning, visible=not (ends_with_refinement(data) and (truncated or (at_end and is_small))))
    lost = extent.mcus - extent.decoded
    if lost == 0 and is_small and not extent.shifted:
        return _INTACT
    is_invisible = 0 < lost <= _max_lost_mcus(extent.mcus) and (truncated or not extent.shifted)
    return _Damage(warning, visible=not is_invisible)


def _max_lost_mcus(mcus: int) -> int:
    """Return how many of an image's last MCUs may be missing without visible damage."""
    return min(_MAX_LOST_MCUS, max(mcus // _MCUS_FOR_ONE_LOST, 1)) if mcus >= _MIN_MCUS else 0


def _decode_remains(header: Image.Image, data: bytes, error: UndecodableImageError) -> Image.Image:
    """Decode a damaged file with Pillow as far as possible. Raise ``error`` if no pixel remains."""
    with _allow_truncated():
        remains = open_image(data)
        remains.draft(None, header.size)
        try:
            _load(remains)
        except UndecodableImageError:
            raise error from None
    if remains.getbbox(alpha_only=False) is None:
        raise error
    return remains


@contextmanager
def _allow_truncated() -> Iterator[None]:
    """Make Pillow decode truncated data. Its only switch is global to the process."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
