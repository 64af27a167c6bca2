"""Pin the base images by digest: look them up in their registry and write the variables for Compose into .env.

A tag can be moved to other bytes; a digest cannot. Needs Docker with buildx and access to the registry. Run it
again to update the images of the same tags. Other lines of .env stay as they are.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# Variable -> the image as in the project's files. MinIO's image already has its digest in compose.yaml.
IMAGES = {
    "POSTGRES_IMAGE": "postgres:18",
    "RABBITMQ_IMAGE": "rabbitmq:4.2-management",
    "PYTHON_IMAGE": "python:3.13-slim-bookworm",
    "GOLANG_IMAGE": "golang:1.26-bookworm",
    "DEBIAN_IMAGE": "debian:bookworm-slim",
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class PinError(Exception):
    """A digest was not found; the message says why."""


def main() -> int:
    """Write and print the pins. If a digest is not found, write nothing, print a message and return 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, nargs="?", default=CHECKOUT / ".env", help="the file to write (.env)")
    file = parser.parse_args().file
    try:
        pins = pin(IMAGES, find_digest)
    except PinError as error:
        print(f"pin_images: {error}", file=sys.stderr)
        return 1
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(merge(text, pins), encoding="utf-8")
    for variable, image in pins.items():
        print(f"{variable}={image}")
    return 0


def pin(images: dict[str, str], find: Callable[[str], str]) -> dict[str, str]:
    """Return each image as `name:tag@digest`. Raise PinError."""
    return {variable: f"{image}@{find(image)}" for variable, image in images.items()}


def find_digest(image: str) -> str:
    """Return the digest of the image's index, which covers every platform. Raise PinError."""
    command = ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PinError("docker was not found: run this on a machine that can pull images") from None
    digest = result.stdout.strip()
    if result.returncode or not _DIGEST.fullmatch(digest):
        raise PinError(f"no digest found for {image}: {result.stderr.strip() or digest or 'the output was empty'}")
    return digest


def merge(text: str, pins: dict[str, str]) -> str:
    """Return an env file's text with the pins at the end, and without earlier values of their variables."""
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip() not in pins]
    return "\n".join([*kept, *(f"{variable}={image}" for variable, image in pins.items())]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
