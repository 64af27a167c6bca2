"""libvips as a contestant, by ``thumbnail``: it shrinks on load, turns by EXIF and, if asked, converts to sRGB."""

import pyvips
from contest import Maker, take_job


def prepare(edge: int, quality: int) -> Maker:
    def make(data: bytes) -> bytes:
        small = pyvips.Image.thumbnail_buffer(data, edge, height=edge, size="down", output_profile="srgb")
        made: bytes = small.jpegsave_buffer(Q=quality, keep="none")
        return made

    return make


if __name__ == "__main__":
    pyvips.cache_set_max(0)  # the warm-up's file comes a second time
    take_job(prepare, f"libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")
