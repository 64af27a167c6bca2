"""A corpus of photographs: JPEGs of at least two megapixels from Debian's wallpaper packages.

The packages are downloaded and unpacked into a temporary folder, not installed.
"""

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

PACKAGES = (
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "lxqt-themes",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
)
MIN_PIXELS = 2_000_000

# Renderings, logos and paintings among them, selected by eye.
NOT_PHOTOGRAPHS = frozenset(
    [
        "Autumn",
        "Elephants",
        "Elephants_3840x2160",
        "Elephants_5640x3172",
        "Flow",
        "Fossa_by_Jasper_Roks",
        "GreenTraditional",
        "Honeywave",
        "Infinite-Sea_by_Aury88",
        "Painting-Colors_by__herobrine7gamer",
        "PastelHills",
        "SafeLanding",
        "Shell",
        "Volna",
        "umang_by_Abhishek_Mudgal",
        "waves-purple-logo",
    ]
)


@dataclass(frozen=True)
class Photo:
    """One file of the corpus."""

    path: Path
    pixels: int


def read(folder: Path) -> list[Photo]:
    """Return the JPEGs of a folder, sorted by name. Raise SystemExit if there are none."""
    photos = [Photo(path, _pixels(path)) for path in sorted(folder.glob("*.jp*g"))]
    if not photos:
        raise SystemExit(f"no JPEGs in {folder}: give --corpus a folder of JPEGs")
    return photos


def make(folder: Path) -> None:
    """Collect the corpus into a folder, unless it exists. Needs Debian's apt-get and dpkg."""
    if folder.is_dir() and any(folder.iterdir()):
        return
    print(f"collecting photographs from {len(PACKAGES)} Debian packages into {folder} (once, about 170 MB)")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        subprocess.run(["apt-get", "-qq", "download", *PACKAGES], cwd=work, check=True)
        kept = work / "kept"
        kept.mkdir()
        seen: set[str] = set()
        for archive in sorted(work.glob("*.deb")):
            unpacked = work / archive.stem
            subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
            for path in sorted(unpacked.rglob("*")):
                _keep(path, kept, seen)
        shutil.copytree(kept, folder, dirs_exist_ok=True)


def _keep(path: Path, kept: Path, seen: set[str]) -> None:
    if path.is_symlink() or path.suffix.lower() not in {".jpg", ".jpeg"} or _title(path) in NOT_PHOTOGRAPHS:
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in seen and _pixels(path) >= MIN_PIXELS:
        seen.add(digest)
        shutil.copyfile(path, kept / f"{_title(path)}.jpg")


def _title(path: Path) -> str:
    """Return an image's title; Plasma's is the folder above ``contents/images/WIDTHxHEIGHT.jpg``."""
    return path.parts[path.parts.index("contents") - 1] if "contents" in path.parts else path.stem


def _pixels(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height
