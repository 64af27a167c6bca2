"""A corpus of real photographs: JPEGs of two megapixels and more out of Debian's wallpaper packages.

Nothing is installed: the packages are downloaded, unpacked into a temporary folder, and their photos kept.
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
LEAST_PIXELS = 2_000_000

# Renderings, logos and paintings among them, told apart by eye.
DRAWN = frozenset(
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
    """Give the JPEGs of a folder, by name. Raises SystemExit where there are none."""
    photos = [Photo(path, _pixels(path)) for path in sorted(folder.glob("*.jp*g"))]
    if not photos:
        raise SystemExit(f"no JPEGs in {folder}")
    return photos


def make(folder: Path) -> None:
    """Fill a folder with the corpus, unless it is there already. Needs Debian's apt-get and dpkg."""
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
    if path.is_symlink() or path.suffix.lower() not in {".jpg", ".jpeg"} or _title(path) in DRAWN:
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in seen and _pixels(path) >= LEAST_PIXELS:
        seen.add(digest)
        shutil.copyfile(path, kept / f"{_title(path)}.jpg")


def _title(path: Path) -> str:
    """Name a picture; Plasma has it in a folder above ``contents/images/WIDTHxHEIGHT.jpg``."""
    return path.parts[path.parts.index("contents") - 1] if "contents" in path.parts else path.stem


def _pixels(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.width * picture.height
