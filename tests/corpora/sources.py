"""The sources of the corpora. None is in the repository: they are fetched once, into the user's cache."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
LOCK = CHECKOUT / "requirements" / "dev.txt"


class CorpusUnavailableError(Exception):
    """A corpus cannot be fetched. The text has the reason and the remedy."""


@dataclass(frozen=True)
class Corpus:
    """A collection at one version, which ``get`` downloads into an empty folder."""

    name: str
    title: str
    version: str
    get: Callable[[Path], None]
    inside: str = "."  # the folder of the images in the download
    left_out: frozenset[str] = frozenset()

    @property
    def home(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "thumbmill" / "corpora" / f"{self.name}-{self.version}"

    def files(self) -> dict[str, Path]:
        """Return all files, images or not, by their names in the expectations, in a fixed order."""
        folder = self.home / self.inside
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
        named = {f"{self.name}/{path.relative_to(folder).as_posix()}": path for path in paths}
        return {name: path for name, path in named.items() if name not in self.left_out}


def fetch(corpus: Corpus) -> None:
    """Fetch a corpus unless it is cached. Raise CorpusUnavailableError."""
    if corpus.home.exists():
        return
    corpus.home.parent.mkdir(parents=True, exist_ok=True)
    with (corpus.home.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if corpus.home.exists():
            return
        unfinished = Path(tempfile.mkdtemp(dir=corpus.home.parent))
        try:
            corpus.get(unfinished)
            unfinished.rename(corpus.home)
        except subprocess.CalledProcessError as error:
            reason = (error.stderr or "").strip().splitlines()[-1:] or [f"code {error.returncode}"]
            raise CorpusUnavailableError(
                f"{corpus.title} can't be fetched: `{' '.join(error.cmd)}` reported {reason[0]!r}."
                f" Try again with a network, or copy its files to {corpus.home} by hand."
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _get_from_pillow(target: Path) -> None:
    """Extract Tests/images from the source archive of the locked Pillow, whose hash pip checks."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "pillow.txt"
        wanted.write_text(locked("pillow"))
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "--no-binary", "pillow", "--require-hashes", "--requirement", str(wanted), "--dest", folder])
        (archive,) = Path(folder).glob("pillow-*.tar.gz")
        with tarfile.open(archive) as archive_file:
            images = [member for member in archive_file if "/Tests/images/" in member.name]
            archive_file.extractall(target, images, filter="data")
    (top,) = target.iterdir()
    (top / "Tests" / "images").rename(target / "images")
    shutil.rmtree(top)


def locked(package: str) -> str:
    """Return a package's lines of the lock: its version and the hashes of its files."""
    found = re.search(rf"^{package}==.*?(?=^\S)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if not found:
        raise CorpusUnavailableError(f"{LOCK} names no version of {package}; run `make lock`")
    return found[0]


def get_by_git(url: str, commit: str) -> Callable[[Path], None]:
    def get(target: Path) -> None:
        _run(["git", "init", "--quiet", str(target)])
        _run(["git", "-C", str(target), "fetch", "--quiet", "--depth", "1", url, commit])
        _run(["git", "-C", str(target), "checkout", "--quiet", "FETCH_HEAD"])

    return get


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def list_corpora() -> tuple[Corpus, ...]:
    """Return all corpora."""
    pillow = locked("pillow").split()[0].partition("==")[2]
    pngsuite, exif, libwebp = (
        ("https://github.com/lunapaint/pngsuite", "8cd768dd0d0063195174d0d01cacbd5a7d1e5605"),
        ("https://github.com/recurser/exif-orientation-examples", "219294e144531b0c01247913cb58b6f5531b5081"),
        ("https://github.com/webmproject/libwebp-test-data", "05cd58b26e61385abd851aae60d26b6e3a769479"),
    )
    return (
        Corpus("pngsuite", "PngSuite", pngsuite[1][:12], get_by_git(*pngsuite), "png"),
        Corpus("pillow", f"`Tests/images` of Pillow {pillow}", pillow, _get_from_pillow, "images"),
        Corpus("exif", "EXIF orientation examples", exif[1][:12], get_by_git(*exif)),
        Corpus(
            "libwebp",
            "libwebp's test data",
            libwebp[1][:12],
            get_by_git(*libwebp),
            left_out=frozenset({"libwebp/lossless_big_random_alpha.webp"}),  # it could not be downloaded
        ),
    )
