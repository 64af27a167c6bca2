"""libvips as a contestant, by ``thumbnail``: it shrinks on load, turns by EXIF and, if asked, converts to sRGB.

Several sizes come from one decode: the largest from the file, each smaller one from the next larger in memory,
which costs less than to decode the file for each.
"""

import pyvips

from benchmarks.imaging.contest import Maker, take_job


def prepare(edges: list[int], quality: int) -> Maker:
    def make(data: bytes) -> list[bytes]:
        *smaller, largest = edges
        small = pyvips.Image.thumbnail_buffer(data, largest, height=largest, size="down", output_profile="srgb")
        made = []
        for edge in reversed(smaller):
            small = small.copy_memory()
            made.append(save(small))
            small = small.thumbnail_image(edge, height=edge, size="down")
        made.append(save(small))
        return made[::-1]

    def save(small: pyvips.Image) -> bytes:
        data: bytes = small.jpegsave_buffer(Q=quality, keep="none")
        return data

    return make


if __name__ == "__main__":
    pyvips.cache_set_max(0)  # the warm-up's file comes a second time
    take_job(prepare, f"libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")
