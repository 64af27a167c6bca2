"""The rows of the benchmark's table."""

from dataclasses import dataclass

LIBHEIF = "libvips with libheif"  # Debian's: the wheels of sharp and libvips have no HEVC decoder


@dataclass(frozen=True)
class Row:
    """A source format and the sizes made from it."""

    title: str
    source: str  # a folder of ``files.py``
    edges: tuple[int, ...]  # pixels: the squares that the outputs fit into, ascending
    competitors: tuple[str, ...] = ("sharp", "libvips")  # those that read the format


QUALITY = 82  # as in the thumbnail preset
ROWS = (
    Row("baseline JPEG -> 256", "baseline", (256,)),
    Row("progressive JPEG -> 256", "progressive", (256,)),
    Row("Display P3 JPEG -> 256", "p3", (256,)),
    Row("baseline JPEG -> 1024", "baseline", (1024,)),
    Row("baseline JPEG -> 256, 640, 1600", "baseline", (256, 640, 1600)),
    Row("PNG -> 256", "png", (256,)),
    Row("PNG screenshot -> 256", "screenshots", (256,)),
    Row("WebP -> 256", "webp", (256,)),
    Row("AVIF -> 256", "avif", (256,)),
    Row("HEIC, 12 and 16 MP -> 256", "heic", (256,), (LIBHEIF,)),
    Row("HEIC, 48 MP -> 256", "heic48", (256,), (LIBHEIF,)),
)
