"""How fast and how good our imaging is beside sharp and libvips: prints a table of paired ratios.

In each round the three make the same pictures in turn, each in a fresh process, and a ratio compares two of one
round. What each figure means stands in benchmarks/README.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import corpus
from benchmarks.imaging.rivals import (
    HERE,
    AbsentError,
    Contestant,
    ask,
    fingerprint,
    install_python,
    install_sharp,
    make_once,
)
from benchmarks.imaging.rows import QUALITY, ROWS, Row

LOCAL = Path(__file__).parents[2] / ".local"
ONE_THREAD = {"VIPS_CONCURRENCY": "1"}


@dataclass
class Result:
    """What a row gave: a contestant's CPU milliseconds for a picture, by round, and how good its pictures were."""

    row: Row
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    fine: dict[str, dict[str, float]] = field(default_factory=dict)  # at quality 100, where only resizing shows
    skipped: str = ""


class Bench:
    """The contestants and the files; works in a folder that is thrown away."""

    def __init__(self, contestants: list[Contestant], scorer: Path, files: Path, work: Path) -> None:
        self.contestants = contestants
        self.scorer = scorer
        self.files = files
        self.work = work
        self.versions: dict[str, str] = {}

    def run(self, row: Row, rounds: int) -> Result:
        result = Result(row)
        for number in range(rounds):
            turn = number % len(self.contestants)
            for contestant in self.contestants[turn:] + self.contestants[:turn]:
                answer = contestant.run(self.job(row))
                if "refused" in answer:
                    result.skipped = f"skipped: {contestant.name} does not take such files ({answer['refused']})"
                    return result
                result.cpu_ms.setdefault(contestant.name, []).append(answer["cpu_ms"])
                self.versions[contestant.name] = answer["version"]
            say(f"  {row.title}: round {number + 1} of {rounds}")
        result.scores = self.score(row, QUALITY)
        result.fine = self.score(row, 100)
        return result

    def job(self, row: Row, quality: int = QUALITY, out: Path | None = None) -> dict[str, object]:
        files = sorted(str(path) for path in (self.files / row.source).iterdir())
        return {"files": files, "edges": row.edges, "quality": quality, "out": str(out) if out else None}

    def score(self, row: Row, quality: int) -> dict[str, dict[str, float]]:
        """Have the pictures made once more, unmeasured, and compared."""
        folders: dict[str, str] = {}
        for contestant in self.contestants:
            folder = Path(tempfile.mkdtemp(dir=self.work))
            contestant.run(self.job(row, quality, folder))
            folders[contestant.name] = str(folder)
        job = self.job(row) | {"folders": folders}
        scores: dict[str, dict[str, float]] = ask("scoring", (str(self.scorer), str(HERE / "scores.py")), job, {})
        return scores


def make_files(base: Path, photos: list[corpus.Photo], python: Path) -> Path:
    recipe, folder = HERE / "files.py", base / "files"
    made_of = fingerprint(recipe, *(photo.path for photo in photos))
    command = [str(python), str(recipe), str(folder), *(str(photo.path) for photo in photos)]
    make_once(folder, made_of, "writing photographs in every format", lambda: run(command))
    return folder


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def table(results: list[Result], rivals: list[str]) -> str:
    names = ["ours", *rivals]
    head = [
        "work",
        *(f"{rival} / ours" for rival in rivals),
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
                *(ratio(result.cpu_ms[rival], result.cpu_ms["ours"]) for rival in rivals),
                " / ".join(f"{median(result.cpu_ms[name]):.1f}" for name in names),
                " / ".join(f"{result.scores[name]['ssim']:.4f}" for name in names),
                " / ".join(f"{result.scores[name]['psnr']:.1f}" for name in names),
                " / ".join(f"{result.fine[name]['psnr']:.1f}" for name in names),
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio(theirs: list[float], ours: list[float]) -> str:
    ratios = [one / other for one, other in zip(theirs, ours, strict=True)]
    return f"{median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    sources = sorted({row.source for row in ROWS})
    parser = argparse.ArgumentParser(
        prog="benchmarks/imaging", description=(__doc__ or "").split("\n\n", maxsplit=1)[0]
    )
    parser.add_argument("--corpus", type=Path, help="a folder of JPEGs (default: made once under .local/corpus)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds for each row, 3 to 20 s each (default: 7)")
    parser.add_argument("--source", choices=sources, action="append", help="only rows with this source")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    os.nice(10)  # CPU time is what counts, and others may need the machine

    base, photos = LOCAL / "bench-imaging", arguments.corpus or LOCAL / "corpus"
    base.mkdir(parents=True, exist_ok=True)
    if not arguments.corpus:
        corpus.make(photos)
    python = install_python(base)
    files = make_files(base, corpus.read(photos), python)
    contestants = [Contestant("ours", (sys.executable, str(HERE / "ours.py")))]
    try:
        contestants.append(install_sharp(base))
    except AbsentError as absence:
        say(str(absence))
    contestants.append(Contestant("libvips", (str(python), str(HERE / "libvips.py")), ONE_THREAD))

    with tempfile.TemporaryDirectory(dir=base) as work:
        bench = Bench(contestants, python, files, Path(work))
        rows = [row for row in ROWS if row.source in (arguments.source or sources)]
        results = [bench.run(row, arguments.rounds) for row in rows]
    say("")
    print(table(results, [contestant.name for contestant in contestants[1:]]))
    print("\nFigures beside each other: " + ", ".join(bench.versions.values()) + ".")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as fault:
        raise SystemExit(f"`{' '.join(map(str, fault.cmd))}` failed with code {fault.returncode}") from fault
    except KeyboardInterrupt:
        raise SystemExit(130) from None
