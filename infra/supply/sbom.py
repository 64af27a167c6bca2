"""Write an SBOM of each image's Python packages: CycloneDX 1.6 as JSON, with versions, licences and package URLs.

Each image's lock is installed into a separate environment, so the SBOM matches the image. Needs the package index
and takes some minutes.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGES = ("gateway", "thumbnailer", "status-tracker", "cli")
_PIP = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "--requirement")


def main() -> int:
    """Write the files and print their names; return 1 if a program fails, whose output has the reason."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = CHECKOUT / ".local" / "sbom"
    parser.add_argument(
        "directory", type=Path, nargs="?", default=default, help="output directory (default: .local/sbom)"
    )
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="thumbmill-sbom-") as scratch:
            tool = make_environment(Path(scratch) / "tool", "sbom")
            for image in IMAGES:
                python = make_environment(Path(scratch) / image, image)
                target = directory / f"{image}.cdx.json"
                describe(tool, python, CHECKOUT / image / "pyproject.toml", target)
                print(target)
    except subprocess.CalledProcessError as error:
        print(f"sbom: exit code {error.returncode} of {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    return 0


def make_environment(directory: Path, lock: str) -> Path:
    """Install a lock of requirements/ and return the environment's interpreter. Raise CalledProcessError."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    subprocess.run([python, *_PIP, CHECKOUT / "requirements" / f"{lock}.txt"], check=True)
    # The environment comes with pip and setuptools; the images do not have them.
    uninstall = (*_PIP[:3], "uninstall", "--quiet", "--yes", "setuptools", "pip")
    subprocess.run([python, *uninstall], check=True)
    return python


def describe(tool: Path, python: Path, pyproject: Path, target: Path) -> None:
    """Write the SBOM of an environment, reproducibly. Raise CalledProcessError."""
    subprocess.run(
        [tool, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--spec-version", "1.6",
         "--pyproject", pyproject, "--mc-type", "application", "--output-file", target, python],
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
