"""The thumbnailer's imaging as a contestant, without the child process that it runs in otherwise."""

from dataclasses import replace

import PIL
from contest import Maker, refuse, take_job

from pipeline.errors import ErrorCode
from thumbnailer.imaging import make_picture
from thumbnailer.pictures import BadPictureError
from thumbnailer.presets import THUMBNAIL

MAX_PIXELS = 50_000_000  # the thumbnailer's default


def prepare(edge: int, quality: int) -> Maker:
    preset = replace(THUMBNAIL, edge=edge, quality=quality)
    return lambda data: make_picture(data, preset, MAX_PIXELS).renditions[0].data


if __name__ == "__main__":
    try:
        take_job(prepare, f"Pillow {PIL.__version__}")
    except BadPictureError as fault:
        if fault.code != ErrorCode.UNSUPPORTED_FORMAT:
            raise
        refuse(fault.code)
