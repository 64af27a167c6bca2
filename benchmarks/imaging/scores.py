"""Compare the luma of resized images with a reference. Runs in the benchmark's own Python.

The reference is a full decode, converted to sRGB and oriented at full size, then resized with Lanczos.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageOps

Plane = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def score(originals: list[Path], edges: list[int], folders: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Return each folder's SSIM and PSNR (dB), means over files and edges. Raise SystemExit for a wrong size."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in folders}
    for original in originals:
        full = _read(original)
        for edge in edges:
            reference = _luma(_resize(full, edge))
            for name, folder in folders.items():
                with Image.open(folder / f"{original.stem}.{edge}.jpg") as image:
                    actual = _luma(image)
                if actual.shape != reference.shape:
                    raise SystemExit(
                        f"{name} made {actual.shape[::-1]} of {original.name} instead of {reference.shape[::-1]}"
                    )
                found[name].append((_ssim(actual, reference), _psnr(actual, reference)))
    means = {name: np.mean(values, axis=0) for name, values in found.items()}
    return {name: {"ssim": float(mean[0]), "psnr": float(mean[1])} for name, mean in means.items()}


def _read(original: Path) -> Image.Image:
    with Image.open(original) as image:
        profile = image.info.get("icc_profile")
        oriented = ImageOps.exif_transpose(image).convert("RGB")
    if profile:
        ImageCms.profileToProfile(
            oriented, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), inPlace=True
        )
    return oriented


def _resize(full: Image.Image, edge: int) -> Image.Image:
    scale = min(1.0, edge / max(full.size))
    return full.resize((round(full.width * scale), round(full.height * scale)), Image.Resampling.LANCZOS)


def _luma(image: Image.Image) -> Plane:
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), dtype=np.float64), 2, 0)
    luma: Plane = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601, as in JPEG
    return luma


def _psnr(one: Plane, other: Plane) -> float:
    return float(10 * np.log10(255**2 / np.mean((one - other) ** 2)))


def _ssim(one: Plane, other: Plane) -> float:
    """Return the SSIM of Wang et al. 2004: Gaussian windows of 11 pixels, sigma 1.5, K 0.01 and 0.03."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean1, mean2 = _blur(one), _blur(other)
    variance1, variance2 = _blur(one**2) - mean1**2, _blur(other**2) - mean2**2
    covariance = _blur(one * other) - mean1 * mean2
    product = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    return float(np.mean(product / ((mean1**2 + mean2**2 + c1) * (variance1 + variance2 + c2))))


def _blur(plane: Plane) -> Plane:
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(plane, 11, axis=axis)
        plane = windows @ weights
    return plane


if __name__ == "__main__":
    pillow_heif.register_heif_opener()
    job = json.load(sys.stdin)
    folders = {name: Path(folder) for name, folder in job["folders"].items()}
    print(json.dumps(score([Path(name) for name in job["files"]], job["edges"], folders)))
