"""Fuzz the DC-only JPEG decoder: decode mutated JPEGs with a sanitized build of it.

A finding ends the process by a signal, with the sanitizer's report. The file that caused it stays where ``--input``
names it; decode it again with ``--reproduce``.
"""

import argparse
import io
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from io import FileIO
from pathlib import Path
from unittest.mock import patch

from PIL import Image

from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only

SOURCE = Path(__file__).with_name("sanitized.c")
# Integers may overflow as in hatch_build.py's build, where that is defined.
FLAGS = ("-O1", "-g", "-fwrapv", "-fPIC", "-shared", "-fsanitize=undefined", "-Wall", "-Wextra", "-Werror")
SIZE = (83, 61)


def build(folder: Path) -> Path:
    """Compile the sanitized decoder into a folder and return its path."""
    library = folder / "sanitized.so"
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(folder)}
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", str(library), str(SOURCE)]
    subprocess.run(command, env=environment, check=True)
    return library


def make_seeds() -> list[bytes]:
    """Return a valid JPEG of each kind that the decoder takes."""
    width, height = SIZE
    image = Image.frombytes("RGB", SIZE, random.Random(0).randbytes(3 * width * height))
    seeds = []
    for mode, sampling, progressive, restarts in itertools.product(
        ("RGB", "L"), ("4:4:4", "4:2:2", "4:2:0"), (False, True), (0, 3)
    ):
        file = io.BytesIO()
        options = {"progressive": progressive, "restart_marker_blocks": restarts, "quality": 80}
        image.convert(mode).save(file, "JPEG", subsampling=sampling, **options)
        seeds.append(file.getvalue())
    return seeds


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change, remove, insert or repeat some bytes; most of them after the first header segments."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(2 if chance.random() < 0.3 else 160, len(changed))
        length = chance.choice((1, 1, 2, 8, 64))
        match chance.randrange(6):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = chance.randbytes(length)
            case 4:
                changed[at:at] = changed[at - length : at]
            case _:
                changed[at : at + length] = chance.randbytes(length)
        if len(changed) < 200:
            break
    return bytes(changed)


def run(data: bytes) -> None:
    """Decode a file as grey and as colour, and measure it. Any result is right unless a sanitizer reports."""
    width, height = (-(-edge // 8) for edge in SIZE)
    for channels in (1, 4):
        jpeg_dc_only.decode(data, bytearray(width * height * channels))
    jpeg_dc_only.measure_scan(data)


def fuzz(seconds: float, seed: int, kept: FileIO) -> int:
    """Decode mutated files for a time, and return how many. Write each one to a file before it is decoded."""
    chance, seeds, count = random.Random(seed), make_seeds(), 0
    for data in seeds:
        width, height = (-(-edge // 8) for edge in SIZE)
        if not any(jpeg_dc_only.decode(data, bytearray(width * height * channels)) for channels in (1, 4)):
            raise RuntimeError("the decoder does not take a seed")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate(chance.choice(seeds), chance)
        kept.seek(0)
        kept.write(data)
        kept.truncate()
        run(data)
        count += 1
    return count


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to fuzz (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations (default: 0)")
    parser.add_argument("--input", type=Path, default=Path("fuzz-input.jpg"), help="where the last input is kept")
    parser.add_argument("--reproduce", type=Path, help="decode this file once instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = jpeg_dc_only.load_library(build(Path(folder)))
        with patch.object(jpeg_dc_only, "load_library", return_value=library):
            if arguments.reproduce:
                run(arguments.reproduce.read_bytes())
                return 0
            with arguments.input.open("wb", buffering=0) as file:
                count = fuzz(arguments.seconds, arguments.seed, file)
    arguments.input.unlink()
    print(f"{count} files without a finding (seed {arguments.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
