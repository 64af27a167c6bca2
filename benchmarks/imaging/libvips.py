"""libvips as a contestant, with ``thumbnail``: shrink on load, EXIF orientation, conversion to sRGB.

Several sizes come from one decode: the largest from the file, each smaller one from the next larger one in memory.
That is cheaper than decoding the file for each size.
"""

import pyvips

from benchmarks.imaging.job import Maker, run_job

# libvips 8.15 renamed both options.
IS_RENAMED = pyvips.at_least_libvips(8, 15)
TO_SRGB = {"output_profile" if IS_RENAMED else "export_profile": "srgb"}
WITHOUT_METADATA = {"keep": "none"} if IS_RENAMED else {"strip": True}


def prepare(edges: list[int], quality: int) -> Maker:
    def make(data: bytes) -> list[bytes]:
        *smaller, largest = edges
        small = pyvips.Image.thumbnail_buffer(data, largest, height=largest, size="down", **TO_SRGB)
        made = []
        for edge in reversed(smaller):
            small = small.copy_memory()
            made.append(save(small))
            small = small.thumbnail_image(edge, height=edge, size="down")
        made.append(save(small))
        return made[::-1]

    def save(small: pyvips.Image) -> bytes:
        data: bytes = small.jpegsave_buffer(Q=quality, **WITHOUT_METADATA)
        return data

    return make


if __name__ == "__main__":
    pyvips.cache_set_max(0)  # the warm-up processes the first file too
    run_job(prepare, f"libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")
