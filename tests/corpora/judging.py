"""Decode files with the real decoder, its processes and limits, and compare the results with the expected ones."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from tests.corpora.expectations import Expectation, expect, limit
from tests.corpora.libvips import UnreadableError, difference, render
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
TRIES = 2.4  # times the deadline: two attempts, and the start of two processes

# Besides the default variants, one without compression losses: any difference in it is one of the pixels.
PROBE = Preset("probe", width=640, height=640, format="png")


def make_options() -> ProcessingOptions:
    """Return options with the default presets and the probe."""
    with as_file(files("thumbmill.thumbnailer.presets") / "default.yaml") as path:
        return ProcessingOptions(LIMITS, (*load_presets(path).presets, PROBE))


@dataclass(frozen=True)
class Judgement:
    """The result of a file, and the objection to it."""

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
    """Count the decoder processes that have died of images in this test process."""
    return sum(
        sample.value
        for metric in DECODER_DEATHS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def judge_all(
    decoder: Decoder, files: dict[str, Path], references: dict[str, Path] | None = None
) -> Iterator[Judgement]:
    """Judge files one after the other. ``references`` has the files that some are compared with.

    Raise DecoderUnavailableError, which no file may cause.
    """
    for name, path in files.items():
        yield judge(decoder, name, path.read_bytes(), references or files)


def judge(decoder: Decoder, name: str, data: bytes, references: dict[str, Path]) -> Judgement:
    """Judge one file. ``references`` has the files with which it may be compared."""
    expectation = expect(name)
    started = time.monotonic()
    result = decoder.decode(data)
    if isinstance(result, Rejected):
        objection = "" if result.code is expectation.code else f"{result.code.value}: {result.detail}"
        return Judgement(name, expectation, result.code, objection=objection or _check_duration(started))
    image = result.image
    if expectation.code is not None:
        return Judgement(name, expectation, None, image.format, objection="DONE")
    reference = references[expectation.reference].read_bytes() if expectation.reference else data
    seen, objection = _compare(image, reference, expectation)
    return Judgement(name, expectation, None, image.format, seen, objection or _check_duration(started))


def _check_duration(started: float) -> str:
    seconds = time.monotonic() - started
    return f"took {seconds:.1f} s" if seconds > TRIES * LIMITS.seconds else ""


def _compare(image: ImageResult, data: bytes, expectation: Expectation) -> tuple[float | None, str]:
    """Compare with libvips. An exception that is out of date is an objection, too."""
    probe = image.variants[-1]
    try:
        rendered = render(data, (probe.width, probe.height))
    except UnreadableError as error:
        return None, "" if expectation.kind == "not_compared" else f"libvips can't read it: {error}"
    if rendered.size != (image.width, image.height):
        return None, f"{image.width} x {image.height}, but by libvips {rendered.size[0]} x {rendered.size[1]}"
    seen = difference(probe.data, rendered.image)
    allowed = limit(image.format, resized=(probe.width, probe.height) != rendered.size)
    if expectation.compared:
        return seen, f"differs by {seen:.2f}, more than {allowed:g}" if seen > allowed else ""
    return (
        None,
        "" if seen > allowed else f"is listed as one that {expectation.kind}, but differs by {seen:.2f} only",
    )
