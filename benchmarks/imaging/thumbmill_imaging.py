"""The thumbnailer's imaging as a contestant, without its decoder process."""

import PIL

from benchmarks.imaging.job import Maker, reject, run_job
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import Limits, ProcessingOptions, UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

LIMITS = Limits(file_bytes=52_428_800, pixels=50_000_000, memory_bytes=1024**3, seconds=10)  # the defaults


def prepare(edges: list[int], quality: int) -> Maker:
    presets = tuple(Preset(str(edge), width=edge, height=edge, quality=quality) for edge in edges)
    options = ProcessingOptions(LIMITS, presets)
    return lambda data: [variant.data for variant in process_image(data, options).variants]


if __name__ == "__main__":
    try:
        run_job(prepare, f"Pillow {PIL.__version__}")
    except UndecodableImageError as error:
        if error.code != ErrorCode.UNSUPPORTED_FORMAT:
            raise
        reject(error.code)
