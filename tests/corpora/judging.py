"""Each file through the real decoder, its child processes and limits, and the outcome beside what is expected."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from tests.corpora.expectations import Expectation, expect, limit
from tests.corpora.libvips import UnreadableError, difference, show
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import ImageResult, Limits, ProcessingOptions
from thumbmill.thumbnailer.metrics import DECODER_DEATHS
from thumbmill.thumbnailer.presets.file import load_presets
from thumbmill.thumbnailer.presets.model import Preset
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected

LIMITS = Limits(
    file_bytes=50 * 1024 * 1024, pixels=50_000_000, memory_bytes=1024**3, seconds=10
)  # the settings' defaults
TRIES = 2.4  # deadlines: two, and what two children take to start

# Beside what is usually made, one variant without a codec's own losses: what differs there, differs in the pixels.
PROBE = Preset("probe", width=640, height=640, format="png")


def make_recipe() -> ProcessingOptions:
    """Give what is made by default, and the probe."""
    with as_file(files("thumbmill.thumbnailer.presets") / "default.yaml") as path:
        return ProcessingOptions(LIMITS, (*load_presets(path).presets, PROBE))


@dataclass(frozen=True)
class Judgement:
    """What became of a file, and what there is to object to it."""

    name: str
    expectation: Expectation
    code: ErrorCode | None  # None: DONE
    format: str = ""
    difference: float | None = None  # mean, in levels of 255; None where it is not compared
    objection: str = ""

    @property
    def verdict(self) -> str:
        return self.code.value if self.code else "DONE"


def count_deaths() -> float:
    """Count the children that any decoder of this process has lost to pictures so far."""
    return sum(
        sample.value
        for metric in DECODER_DEATHS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def judge_all(
    decoder: Decoder, files: dict[str, Path], twins: dict[str, Path] | None = None
) -> Iterator[Judgement]:
    """Judge files one after the other; ``twins``, if they lie elsewhere, has what some are compared with.

    Raises DecoderBrokenError, which no file may cause.
    """
    for name, path in files.items():
        yield judge(decoder, name, path.read_bytes(), twins or files)


def judge(decoder: Decoder, name: str, data: bytes, twins: dict[str, Path]) -> Judgement:
    """Judge one file; ``twins`` has what it may be compared with."""
    expectation = expect(name)
    started = time.monotonic()
    result = decoder.decode(data)
    if isinstance(result, Rejected):
        objection = "" if result.code is expectation.code else f"{result.code.value}: {result.detail}"
        return Judgement(name, expectation, result.code, objection=objection or _slow(started))
    picture = result.image
    if expectation.code is not None:
        return Judgement(name, expectation, None, picture.format, objection="DONE")
    twin = twins[expectation.twin].read_bytes() if expectation.twin else data
    seen, objection = _compare(picture, twin, expectation)
    return Judgement(name, expectation, None, picture.format, seen, objection or _slow(started))


def _slow(started: float) -> str:
    seconds = time.monotonic() - started
    return f"took {seconds:.1f} s" if seconds > TRIES * LIMITS.seconds else ""


def _compare(picture: ImageResult, data: bytes, expectation: Expectation) -> tuple[float | None, str]:
    """Compare with libvips; an exception that is none any more is an objection too."""
    probe = picture.variants[-1]
    try:
        shown = show(data, (probe.width, probe.height))
    except UnreadableError as fault:
        return None, "" if expectation.kind == "unseen" else f"libvips can't read it: {fault}"
    if shown.size != (picture.width, picture.height):
        return None, f"{picture.width} x {picture.height}, but libvips says {shown.size[0]} x {shown.size[1]}"
    seen = difference(probe.data, shown.image)
    allowed = limit(picture.format, resized=(probe.width, probe.height) != shown.size)
    if expectation.compared:
        return seen, f"differs by {seen:.2f}, more than {allowed:g}" if seen > allowed else ""
    return (
        None,
        "" if seen > allowed else f"is listed as one that {expectation.kind}, but differs by {seen:.2f} only",
    )
