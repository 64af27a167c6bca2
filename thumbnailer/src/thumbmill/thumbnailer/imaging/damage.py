"""Telling damaged files from sound ones, and showing what is left of them if the recipe keeps them.

Most formats fail by their checksums or their strict layout. A JPEG does not: its decoder makes up what is missing,
mid-grey in most cases, and merely complains. What libjpeg complains of is one of three things (docs/decisions/009
has all of its texts, which are those of jerror.h):

- harmless, because nothing of the picture depends on it: numbers that have but one meaning and junk between the
  header's segments and in metadata (all of that is righted for a second look), an end that is not marked, bytes too
  many behind the last scan, filler there;
- damage that does not show: the file ends a few blocks too early, or within a scan that only refines what is known.
  Such a picture is DONE, and called damaged;
- damage that shows, which is all else: the file is refused.

One thing libjpeg does not look at: scans that are missing altogether. What follows the end, be it a film or more
pictures, is never looked at.

Damage after which the data still decode to as many blocks as there should be is found by nobody; a flipped bit may
do that, and shift the colours of what follows. Nor is damage in scans that are passed over because they can't show.
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

_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd([0-79])")  # a restart, or the end
_LESS_THAN_A_BLOCK = 4  # bytes, beside the up to eight that libjpeg has read ahead and does not count
_SECTOR = 512  # bytes: a disk loses no less, so less is junk or filler and stands for nothing
# MCUs that may be missing at the end of a file: at most so many, and at most one in so many; but one of a small
# picture. They have 16 x 16 pixels in most files: of a photo, a strip of one pixel by 16 in its thumbnail.
_MOST_LOST, _TO_ONE_LOST = 16, 200
_LEAST_MCUS = 20  # of fewer, none may be missing


@dataclass(frozen=True)
class _Damage:
    """What is wrong with a file, if anything, and whether it shows."""

    text: str = ""
    shows: bool = True


_SOUND = _Damage()


def load_pixels(
    header: Image.Image, data: bytes, size: Size, eighths: int, *, keep_damaged: bool
) -> tuple[Image.Image, bool]:
    """Decode an opened picture, of whose file ``data`` is the whole, and tell whether it is damaged.

    A JPEG is decoded at ``size``, which is what so many ``eighths`` of its edges come to.

    Raise UndecodableImageError if damage shows and shall not be kept, or if nothing is left of it to be shown.
    """
    if name_format(header) == "TIFF" and (tiff := reader.decode_tiff(data, header, keep_damaged=keep_damaged)):
        return tiff
    try:
        if name_format(header) == "JPEG":
            image, damage = _load_jpeg(header, data, size, eighths)
        elif name_format(header) == "GIF":
            image, damage = gif.decode_first_frame(data), _SOUND
        else:
            image, damage = _load(header), _SOUND
    except UndecodableImageError as fault:
        if not keep_damaged:
            raise
        return _load_rest(header, data, fault), True
    if damage.text and damage.shows and not keep_damaged:
        raise UndecodableImageError.unreadable(damage.text, ends_early=is_truncated(data))
    return image, bool(damage.text)


def _load(header: Image.Image) -> Image.Image:
    with map_decode_errors():
        header.load()
    return header


def _load_jpeg(header: Image.Image, data: bytes, size: Size, eighths: int) -> tuple[Image.Image, _Damage]:
    if eighths == 1 and (eighth := decode_dc_only(header, data, size)):
        return eighth, _SOUND  # it has found all scans, and would have left to libjpeg what that complains of
    damage = _Damage("the last of its scans are missing") if is_missing_scans(data) else _SOUND
    decoded, righted = decode(header, data, size, eighths), data
    if decoded.warning:
        righted = strip_metadata(data)
        decoded = decode(header, righted, size, eighths, keep_damaged=True)
    if decoded.image is None:  # a sampling that simplejpeg does not take, or nothing to decode: Pillow shall judge
        return _load(header), damage
    if decoded.warning and damage == _SOUND:
        damage = _judge(decoded.warning, righted, ends_early=is_truncated(data))
    return decoded.image, damage


def _judge(complaint: str, data: bytes, *, ends_early: bool) -> _Damage:
    """Judge a JPEG by libjpeg's first complaint, and by how far it can be read.

    Damage in the middle often shows at the end alone: codes fall into step again, and some blocks too few or too
    many are left. It is told from data that were cut, or have junk behind them, by where the last block ends.
    """
    surplus = _SURPLUS.search(complaint)
    count = int(surplus[1]) if surplus else 0
    at_end = surplus is not None and surplus[2] == "9"
    is_little = surplus is not None and count < (_SECTOR if at_end else _LESS_THAN_A_BLOCK)
    extent = measure_scan(data)
    if extent is None:  # a progressive one, or an uncommon kind
        if at_end and is_little and (count < _LESS_THAN_A_BLOCK or ends_with_zeros(data, count)):
            return _SOUND
        return _Damage(complaint, shows=not (ends_with_refinement(data) and (ends_early or (at_end and is_little))))
    lost = extent.mcus - extent.decoded
    if lost == 0 and is_little and not extent.shifted:
        return _SOUND
    is_short = 0 < lost <= _allow_lost(extent.mcus) and (ends_early or not extent.shifted)
    return _Damage(complaint, shows=not is_short)


def _allow_lost(mcus: int) -> int:
    """Give how many of a picture's last MCUs may be missing without being missed."""
    return min(_MOST_LOST, max(mcus // _TO_ONE_LOST, 1)) if mcus >= _LEAST_MCUS else 0


def _load_rest(header: Image.Image, data: bytes, fault: UndecodableImageError) -> Image.Image:
    """Have Pillow decode as far as it can. Raises the fault if nothing came."""
    with _damage_borne():
        rest = open_image(data)
        rest.draft(None, header.size)
        try:
            _load(rest)
        except UndecodableImageError:
            raise fault from None
    if rest.getbbox(alpha_only=False) is None:
        raise fault
    return rest


@contextmanager
def _damage_borne() -> Iterator[None]:
    """Let Pillow go on where data are missing; it has but one switch, for all that the process decodes."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
