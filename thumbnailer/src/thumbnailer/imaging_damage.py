"""Telling damaged files from sound ones, and showing what is left of them if the recipe keeps them.

Most formats fail by their checksums or their strict layout. A JPEG does not: its decoder makes up what is missing,
mid-grey in most cases, and merely complains. So the rule for a JPEG is:

    It is sound if libjpeg has no complaint, and if its scans bring every coefficient to its last bit.

The latter libjpeg does not look at: a progressive file that has lost its last scans is just blurred. Complaints
that have nothing to do with the picture do not count, since many files give reason to them and browsers show them
well: junk between the header's segments and in metadata (both are left out for a second look), a few bytes too many
behind the last scan (less than a block takes) or filler there, and an end that is not marked though all data are
there. What follows the end, be it a film or more pictures, is never looked at.

Damage after which the data still decode to as many blocks as there should be is found by nobody; a flipped bit may
do that, and shift the colours of what follows. Nor is damage in scans that are passed over because they can't show.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from pipeline.errors import ErrorCode
from thumbnailer.imaging_formats import damage_told, name_format, open_image
from thumbnailer.imaging_jpeg import decode, decode_eighth
from thumbnailer.jpeg_segments import ends_with_filler, lacks_scans, tidy
from thumbnailer.layout import Size
from thumbnailer.pictures import BadPictureError

_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_LESS_THAN_A_BLOCK = 4  # bytes, beside the up to eight that libjpeg has read ahead and does not count
_SECTOR = 512  # bytes: a disk loses no less, so fewer zeros are filler


def load_pixels(
    header: Image.Image, data: bytes, size: Size, eighths: int, *, keep_damaged: bool
) -> tuple[Image.Image, bool]:
    """Decode an opened picture, of whose file ``data`` is the whole, and tell whether it is damaged.

    A JPEG is decoded at ``size``, which is what so many ``eighths`` of its edges come to. Raises BadPictureError if
    it is damaged and shall not be kept, or if nothing is left of it to be shown.
    """
    try:
        if name_format(header) == "JPEG":
            image, damage = _load_jpeg(header, data, size, eighths)
        else:
            image, damage = _load(header)
    except BadPictureError as fault:
        if not keep_damaged:
            raise
        return _load_rest(header, data, fault), True
    if damage and not keep_damaged:
        raise BadPictureError(ErrorCode.UNREADABLE_IMAGE, damage)
    return image, bool(damage)


def _load(header: Image.Image) -> tuple[Image.Image, str]:
    with damage_told():
        header.load()
    return header, ""


def _load_jpeg(header: Image.Image, data: bytes, size: Size, eighths: int) -> tuple[Image.Image, str]:
    if eighths == 1 and (eighth := decode_eighth(header, data, size)):
        return eighth, ""  # it has found all scans, and would have left to libjpeg what that complains of
    damage = "the last of its scans are missing" if lacks_scans(data) else ""
    decoded = decode(header, data, size, eighths)
    if decoded.complaint:
        data = tidy(data)
        decoded = decode(header, data, size, eighths, keep_damaged=True)
    if decoded.image is None:  # a sampling that simplejpeg does not take, or nothing to decode: Pillow shall judge
        return _load(header)[0], damage
    if decoded.complaint and not _is_harmless(decoded.complaint, data):
        damage = decoded.complaint
    return decoded.image, damage


def _is_harmless(complaint: str, data: bytes) -> bool:
    surplus = _SURPLUS.search(complaint)
    if surplus is None:
        return False
    count = int(surplus[1])
    return count < _LESS_THAN_A_BLOCK or (count < _SECTOR and ends_with_filler(data, count))


def _load_rest(header: Image.Image, data: bytes, fault: BadPictureError) -> Image.Image:
    """Have Pillow decode as far as it can. Raises the fault if nothing came."""
    with _damage_borne():
        rest = open_image(data)
        rest.draft(None, header.size)
        try:
            _load(rest)
        except BadPictureError:
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
