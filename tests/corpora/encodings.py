"""The colour encoding that a file declares besides a profile, by the code under test."""

import warnings

from thumbmill.thumbnailer.imaging import colour
from thumbmill.thumbnailer.imaging.codecs import png_chunks
from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding
from thumbmill.thumbnailer.imaging.formats import open_image
from thumbmill.thumbnailer.imaging.model import UndecodableImageError


def read_encoding(data: bytes) -> ColourEncoding | None:
    """Return the encoding, unless a profile has precedence or the file cannot be opened."""
    data = png_chunks.normalize_chunks(data)
    try:
        with warnings.catch_warnings(action="ignore"):  # as in the decoder's children
            image = open_image(data)
    except UndecodableImageError:
        return None
    return None if image.info.get("icc_profile") else colour.read_encoding(image, data)
