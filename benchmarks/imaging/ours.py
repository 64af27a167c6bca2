"""The thumbnailer's imaging as a contestant, without the child process that it runs in otherwise."""

import PIL
from contest import Maker, refuse, take_job

from pipeline.errors import ErrorCode
from thumbnailer.imaging import make_picture
from thumbnailer.pictures import BadPictureError, Limits, Recipe
from thumbnailer.presets import Preset

LIMITS = Limits(file_bytes=2**26, pixels=50_000_000, memory_bytes=2**30, seconds=10)  # the thumbnailer's defaults


def prepare(edge: int, quality: int) -> Maker:
    recipe = Recipe(LIMITS, (Preset("only", width=edge, height=edge, quality=quality),))
    return lambda data: make_picture(data, recipe).renditions[0].data


if __name__ == "__main__":
    try:
        take_job(prepare, f"Pillow {PIL.__version__}")
    except BadPictureError as fault:
        if fault.code != ErrorCode.UNSUPPORTED_FORMAT:
            raise
        refuse(fault.code)
