"""Where the corpora come from. None lies in the repository: they are fetched once, into the user's cache."""

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


class CorpusAbsentError(Exception):
    """A corpus can't be had; the text says why and what to do."""


@dataclass(frozen=True)
class Corpus:
    """A collection at one version, which is what ``get`` puts into an empty folder."""

    name: str
    title: str
    version: str
    get: Callable[[Path], None]
    inside: str = "."  # the pictures' folder in what is fetched
    left_out: frozenset[str] = frozenset()

    @property
    def home(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "thumbmill" / "corpora" / f"{self.name}-{self.version}"

    def files(self) -> dict[str, Path]:
        """Give all files, pictures or not, by their names as the expectations have them, in a fixed order."""
        folder = self.home / self.inside
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
        named = {f"{self.name}/{path.relative_to(folder).as_posix()}": path for path in paths}
        return {name: path for name, path in named.items() if name not in self.left_out}


def fetch(corpus: Corpus) -> None:
    """Fetch a corpus unless it is there. Raises CorpusAbsentError."""
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
        except subprocess.CalledProcessError as fault:
            reason = (fault.stderr or "").strip().splitlines()[-1:] or [f"code {fault.returncode}"]
            raise CorpusAbsentError(
                f"{corpus.title} can't be fetched: `{' '.join(fault.cmd)}` said {reason[0]!r}."
                f" Try again with a network, or lay its files into {corpus.home} by hand."
            ) from fault
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _get_from_pillow(target: Path) -> None:
    """Take Tests/images out of the source archive of the very Pillow that is locked, hashes and all."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "pillow.txt"
        wanted.write_text(locked("pillow"))
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "--no-binary", "pillow", "--require-hashes", "--requirement", str(wanted), "--dest", folder])
        (archive,) = Path(folder).glob("pillow-*.tar.gz")
        with tarfile.open(archive) as object_version:
            images = [member for member in object_version if "/Tests/images/" in member.name]
            object_version.extractall(target, images, filter="data")
    (top,) = target.iterdir()
    (top / "Tests" / "images").rename(target / "images")
    shutil.rmtree(top)


def locked(package: str) -> str:
    """Give a package's lines of the lock: its version and the hashes of its files."""
    found = re.search(rf"^{package}==.*?(?=^\S)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if not found:
        raise CorpusAbsentError(f"{LOCK} names no version of {package}; run `make lock`")
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
    """Give all corpora."""
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
            left_out=frozenset({"libwebp/lossless_big_random_alpha.webp"}),  # we could not get hold of it
        ),
    )
