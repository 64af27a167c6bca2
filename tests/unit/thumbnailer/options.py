"""Options for the tests of imaging: one thumbnail by default."""

from dataclasses import replace

from thumbmill.thumbnailer.imaging.model import Limits, ProcessingOptions
from thumbmill.thumbnailer.presets.model import Preset

LIMITS = Limits(file_bytes=2**26, pixels=50_000_000, memory_bytes=2**30, seconds=10)
THUMBNAIL = Preset("thumbnail", width=256, height=256)


def make_options(*presets, keep_gps=False, keep_damaged=False, **changed):
    """Return options with these presets. Further arguments override limits."""
    return ProcessingOptions(replace(LIMITS, **changed), presets or (THUMBNAIL,), keep_gps, keep_damaged)
