"""Print docs/licences.md: the licences of the packages in the images, from the packages' metadata.

Run it in the project's environment, which has every locked package: python infra/supply/licences.py
"""

import json
import re
import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGES = ("gateway", "thumbnailer", "status-tracker", "cli")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<marker> ;[^\\]*)?")
# Older metadata has names instead of SPDX identifiers (https://spdx.org/licenses).
_SPDX = {
    "Apache Software License": "Apache-2.0",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
}
_INTRODUCTION = """# Licences

The Python packages in the images, besides the base images' own software (`python`, `debian`) and Thumbmill's
packages. `python infra/supply/licences.py` prints this page, and a test holds it equal to the locks. `make
sbom` writes the same as CycloneDX files.

Some wheels contain compiled libraries: Pillow's (libjpeg-turbo, libtiff, libwebp, libavif, FreeType and more,
all under permissive licences), psycopg-binary's (libpq and OpenSSL), and pillow-heif's libheif and libde265
(LGPL-3.0) with x265 (GPL-2.0), an encoder that is never called. Whoever distributes an image of the thumbnailer
distributes these, too.

| package | version | licence | images |
|---|---|---|---|"""

_CONSOLE = """
## Web console

The JavaScript packages whose code is in the web console, which the gateway's image contains. The packages that only
build or test it are not.

| package | version | licence |
|---|---|---|"""


class LicenceError(Exception):
    """A locked package is not installed, or its metadata has no licence."""


def main() -> int:
    """Print the page; return 1 with a message if a licence is not found."""
    try:
        print(make_page())
    except LicenceError as error:
        print(f"licences: {error}", file=sys.stderr)
        return 1
    return 0


def make_page() -> str:
    """Return the page. Raise LicenceError."""
    versions: dict[str, set[str]] = defaultdict(set)
    images: dict[str, list[str]] = defaultdict(list)
    for image in IMAGES:
        for name, version in read_lock(CHECKOUT / "requirements" / f"{image}.txt"):
            versions[name].add(version)
            if image not in images[name]:
                images[name].append(image)
    rows = [
        f"| {name} | {', '.join(sorted(versions[name]))} | {find_licence(name)} | {', '.join(images[name])} |"
        for name in sorted(versions)
    ]
    console = [f"| {name} | {version} | {licence} |" for name, version, licence in read_npm_lock()]
    return "\n".join([_INTRODUCTION, *rows, _CONSOLE, *console])


def read_npm_lock() -> list[tuple[str, str, str]]:
    """Return name, version and licence of each package that is bundled into the web console. Raise LicenceError."""
    lock = json.loads((CHECKOUT / "web" / "package-lock.json").read_text(encoding="utf-8"))
    found = []
    for path, package in lock["packages"].items():
        name = path.rpartition("node_modules/")[2]
        if name and not package.get("dev"):
            if "license" not in package:
                raise LicenceError(f"web/package-lock.json has no licence for {name}")
            found.append((name, package["version"], package["license"]))
    return sorted(found)


def read_lock(path: Path) -> list[tuple[str, str]]:
    """Return the name and version of each package that a lock installs on Linux."""
    pins = (_PINNED.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [(pin["name"], pin["version"]) for pin in pins if pin and "win32" not in (pin["marker"] or "")]


def find_licence(name: str) -> str:
    """Return the licence of an installed package, as an SPDX expression if possible. Raise LicenceError."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        raise LicenceError(f"{name} is not installed: run `make venv`") from None
    if "License-Expression" in found:
        return found["License-Expression"]
    prefix = "License :: "
    classified = [line for line in found.get_all("Classifier") or [] if line.startswith(prefix)]
    texts = [line.rpartition(" :: ")[2] for line in classified]
    stated = found["License"].strip() if "License" in found else ""
    if stated and "\n" not in stated and len(stated) < 40:
        texts = [stated]
    if not texts:
        raise LicenceError(f"the metadata of {name} has no licence")
    return " OR ".join(_SPDX.get(text, text) for text in texts)


if __name__ == "__main__":
    sys.exit(main())
