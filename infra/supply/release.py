"""Build the release into dist/: an sdist of each package, and a wheel of each sdist; then start every program.

Each program is installed as in its image: its lock, the wheel of the shared package, and its own wheel. Exit code 1
means a missing file in an sdist, a missing dependency in a lock, or two wheels with the same file. Run it in the
project's environment, which has the build backends: ``make release``.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = "core"
PROGRAMS = {  # folder: (module, console script)
    "gateway": ("thumbmill.gateway", "gateway"),
    "thumbnailer": ("thumbmill.thumbnailer", "thumbnailer"),
    "status-tracker": ("thumbmill.tracker", "status-tracker"),
    "cli": ("thumbmill.cli", "thumbmill"),
}


class ReleaseError(Exception):
    """The release must not be published; the message says why."""


def main() -> int:
    """Build and check the release. Return 1 with a message if that fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "directory", type=Path, nargs="?", default=CHECKOUT / "dist", help="output directory (dist)"
    )
    directory = parser.parse_args().directory.resolve()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        wheels = {package: build(package, directory) for package in (SHARED, *PROGRAMS)}
        check_contents(wheels)
        for package in PROGRAMS:
            try_program(package, wheels)
    except subprocess.CalledProcessError as error:
        print(f"release: exit code {error.returncode} of {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"{len(wheels)} wheels and sdists of version {read_version()} in {directory}")
    return 0


def build(package: str, directory: Path) -> Path:
    """Build a package's sdist, and its wheel from that. Return the wheel. Raise CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="thumbmill-release-") as scratch:
        run([sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", scratch],
            cwd=CHECKOUT / package)  # fmt: skip
        [sdist] = Path(scratch).glob("*.tar.gz")
        run([sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps",
             "--no-build-isolation", "--no-index", "--wheel-dir", scratch, sdist])  # fmt: skip
        [wheel] = Path(scratch).glob("*.whl")
        for file in (sdist, wheel):
            shutil.copy(file, directory)
    return directory / wheel.name


def check_contents(wheels: dict[str, Path]) -> None:
    """Raise ReleaseError if two wheels have a file in common, one lacks its licence, or the gateway's the console.

    The packages share the namespace ``thumbmill``, which works only while none has an ``__init__.py`` for it.
    """
    owners: dict[str, str] = {}
    for package, wheel in wheels.items():
        names = ZipFile(wheel).namelist()
        for name in names:
            if (other := owners.setdefault(name, package)) != package:
                raise ReleaseError(f"{name} is in the wheels of {other} and {package}")
        if "thumbmill/__init__.py" in names:
            raise ReleaseError(f"{wheel.name} has an __init__.py for the shared namespace")
        for licence in ("LICENSE", "NOTICE"):
            if not any(name.endswith(f"/licenses/{licence}") for name in names):
                raise ReleaseError(f"{wheel.name} lacks {licence}")
        if package == "gateway" and "thumbmill/gateway/web/index.html" not in names:
            raise ReleaseError(f"{wheel.name} lacks the web console: run `make web`")


def try_program(package: str, wheels: dict[str, Path]) -> None:
    """Install a program into an empty environment and start it. Raise CalledProcessError, ReleaseError."""
    module, script = PROGRAMS[package]
    with tempfile.TemporaryDirectory(prefix="thumbmill-release-") as scratch:
        venv.create(scratch, with_pip=True)
        binaries = Path(scratch) / "bin"
        pip: list[str | Path] = [
            binaries / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        run([*pip, "--require-hashes", "--requirement", CHECKOUT / "requirements" / f"{package}.txt"])
        run([*pip, "--no-deps", "--no-index", wheels[SHARED], wheels[package]])
        run([binaries / "python", "-I", "-c", f"import thumbmill.core, {module}.__main__"])
        printed = run([binaries / script, "--version"]).strip()
    if printed != read_version():
        raise ReleaseError(f"`{script} --version` prints {printed!r}, not {read_version()!r}")
    print(f"{script} {printed} works from its wheel")


def read_version() -> str:
    """Return the version that all packages have."""
    project = tomllib.loads((CHECKOUT / SHARED / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def run(command: list[str | Path], cwd: Path = CHECKOUT) -> str:
    """Run a program and return what it prints. Raise CalledProcessError."""
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
