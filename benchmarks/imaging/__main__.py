"""Compare the thumbnailer's imaging with sharp and libvips, and print a table of paired ratios.

In each round the three make the same images in turn, each in a new process; a ratio compares two of one round.
benchmarks/README.md explains each figure.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from ctypes.util import find_library
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import corpus
from benchmarks.imaging.contestants import (
    HERE,
    Contestant,
    ContestantUnavailableError,
    fingerprint,
    install_python,
    install_sharp,
    make_once,
    run_program,
)
from benchmarks.imaging.rows import LIBHEIF, QUALITY, ROWS, Row

CHECKOUT = Path(__file__).parents[2]
LOCAL = CHECKOUT / ".local"
SCREENSHOTS = CHECKOUT / "docs" / "screenshots"
CHECKOUT_PATH = {"PYTHONPATH": str(CHECKOUT)}  # for the module `benchmarks`
# Without the wheel's module pyvips loads the operating system's libvips.so.42.
SYSTEM_LIBVIPS = """
import runpy, sys
sys.modules["_libvips"] = None
runpy.run_module("benchmarks.imaging.libvips", run_name="__main__")
"""
ONE_THREAD = {"VIPS_CONCURRENCY": "1"}


@dataclass
class Result:
    """The result of a row: each contestant's CPU milliseconds per image, by round, and the images' quality."""

    row: Row
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    fine: dict[str, dict[str, float]] = field(default_factory=dict)  # at quality 100, which shows resizing only
    skipped: str = ""


class Benchmark:
    """The contestants and the files, with a temporary working folder."""

    def __init__(self, contestants: list[Contestant], scorer: Path, files: Path, work: Path) -> None:
        self.contestants = contestants
        self.scorer = scorer
        self.files = files
        self.work = work
        self.versions: dict[str, str] = {}

    def run(self, row: Row, rounds: int) -> Result:
        result = Result(row)
        contestants = self.contestants_of(row)
        for number in range(rounds):
            turn = number % len(contestants)
            for contestant in contestants[turn:] + contestants[:turn]:
                outcome = contestant.run(self.job(row))
                if "rejected" in outcome:
                    result.skipped = (
                        f"skipped: {contestant.name} does not support such files ({outcome['rejected']})"
                    )
                    return result
                result.cpu_ms.setdefault(contestant.name, []).append(outcome["cpu_ms"])
                self.versions[contestant.name] = outcome["version"]
            log(f"  {row.title}: round {number + 1} of {rounds}")
        result.scores = self.score(row, QUALITY)
        result.fine = self.score(row, 100)
        return result

    def contestants_of(self, row: Row) -> list[Contestant]:
        return [one for one in self.contestants if one.name in {"thumbmill", *row.competitors}]

    def job(self, row: Row, quality: int = QUALITY, out: Path | None = None) -> dict[str, object]:
        files = sorted(str(path) for path in (self.files / row.source).iterdir())
        return {"files": files, "edges": row.edges, "quality": quality, "out": str(out) if out else None}

    def score(self, row: Row, quality: int) -> dict[str, dict[str, float]]:
        """Make the images once more, without measuring, and return their scores."""
        folders: dict[str, str] = {}
        for contestant in self.contestants_of(row):
            folder = Path(tempfile.mkdtemp(dir=self.work))
            contestant.run(self.job(row, quality, folder))
            folders[contestant.name] = str(folder)
        job = self.job(row) | {"folders": folders}
        scores: dict[str, dict[str, float]] = run_program(
            "scoring", (str(self.scorer), str(HERE / "scores.py")), job, {}
        )
        return scores


def make_files(base: Path, photos: list[corpus.Photo], python: Path) -> Path:
    script, folder = HERE / "files.py", base / "files"
    screenshots = sorted(path for path in SCREENSHOTS.glob("*.png") if not path.stem.endswith("narrow"))
    sources = [*(photo.path for photo in photos), *screenshots]
    made_of = fingerprint(script, *sources)
    command = [str(python), str(script), str(folder), *map(str, sources)]
    make_once(folder, made_of, "writing photographs in every format", lambda: run(command))
    return folder


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def table(results: list[Result], competitors: list[str]) -> str:
    names = ["thumbmill", *competitors]
    head = [
        "work",
        *(f"{competitor} / thumbmill" for competitor in competitors),
        f"CPU-ms: {' / '.join(names)}",
        "SSIM",
        "PSNR, dB",
        "PSNR at quality 100, dB",
    ]
    lines = [head, ["---"] * len(head)]
    for result in results:
        if result.skipped:
            lines.append([result.row.title, result.skipped, *[""] * (len(head) - 2)])
            continue
        lines.append(
            [
                result.row.title,
                *(ratio(result.cpu_ms.get(competitor), result.cpu_ms["thumbmill"]) for competitor in competitors),
                " / ".join(f"{median(result.cpu_ms[name]):.1f}" for name in names if name in result.cpu_ms),
                " / ".join(f"{result.scores[name]['ssim']:.4f}" for name in names if name in result.scores),
                " / ".join(f"{result.scores[name]['psnr']:.1f}" for name in names if name in result.scores),
                " / ".join(f"{result.fine[name]['psnr']:.1f}" for name in names if name in result.fine),
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio(competitor: list[float] | None, thumbmill: list[float]) -> str:
    if competitor is None:
        return "-"  # it does not take part
    ratios = [one / other for one, other in zip(competitor, thumbmill, strict=True)]
    return f"{median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    sources = sorted({row.source for row in ROWS})
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.imaging", description=(__doc__ or "").split("\n\n", maxsplit=1)[0]
    )
    parser.add_argument(
        "--corpus", type=Path, help="a folder of JPEGs (default: collected once into .local/corpus)"
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds for each row, 3 to 20 s each (default: 7)")
    parser.add_argument(
        "--source", choices=sources, action="append", help="only rows with this source; may be repeated"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    os.nice(10)  # only CPU time is measured, and others may need the machine

    base, photos = LOCAL / "bench-imaging", arguments.corpus or LOCAL / "corpus"
    base.mkdir(parents=True, exist_ok=True)
    if not arguments.corpus:
        corpus.make(photos)
    python = install_python(base)
    files = make_files(base, corpus.read(photos), python)
    contestants = [
        Contestant("thumbmill", (sys.executable, "-m", "benchmarks.imaging.thumbmill_imaging"), CHECKOUT_PATH)
    ]
    try:
        contestants.append(install_sharp(base))
    except ContestantUnavailableError as error:
        log(str(error))
    contestants.append(
        Contestant("libvips", (str(python), "-m", "benchmarks.imaging.libvips"), CHECKOUT_PATH | ONE_THREAD)
    )
    if find_library("vips"):
        contestants.append(Contestant(LIBHEIF, (str(python), "-c", SYSTEM_LIBVIPS), CHECKOUT_PATH | ONE_THREAD))
    else:
        log(f"skipping {LIBHEIF}: install Debian's package libvips42")

    with tempfile.TemporaryDirectory(dir=base) as work:
        benchmark = Benchmark(contestants, python, files, Path(work))
        rows = [row for row in ROWS if row.source in (arguments.source or sources)]
        results = [benchmark.run(row, arguments.rounds) for row in rows]
    log("")
    print(table(results, [contestant.name for contestant in contestants[1:]]))
    print("\nVersions: " + ", ".join(benchmark.versions.values()) + ".")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"`{' '.join(map(str, error.cmd))}` failed with code {error.returncode}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
