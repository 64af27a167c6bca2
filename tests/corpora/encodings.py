"""What a file says of its colours beside a profile, by the code under test."""

import warnings

from thumbnailer import imaging_colour, png_chunks
from thumbnailer.colour_encodings import Encoding
from thumbnailer.imaging_formats import open_image
from thumbnailer.pictures import BadPictureError


def read_encoding(data: bytes) -> Encoding | None:
    """Give it, unless a profile comes before it or the file can't be read."""
    data = png_chunks.tidy(data)
    try:
        with warnings.catch_warnings(action="ignore"):  # as in the decoder's children
            image = open_image(data)
    except BadPictureError:
        return None
    return None if image.info.get("icc_profile") else imaging_colour.read_encoding(image, data)
