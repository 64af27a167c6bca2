"""``docs/formats.md``, from the table of formats, the expectations and the last run over everything."""

from pathlib import Path

from tests.corpora.expectations import LIMITS, RESIZED
from tests.corpora.results import Mutated, Results, Tally
from tests.corpora.sources import CHECKOUT
from thumbmill.core.formats import SIGNATURES, Signature
from thumbmill.thumbnailer.imaging.formats import ANIMATED
from thumbmill.thumbnailer.imaging.preflight.costs import FORMATS

FILE = CHECKOUT / "docs" / "formats.md"

_HEAD = """\
# Formats

`make corpora` writes this page from the table of formats in the code and the results of its last run. A test
compares.

## Accepted formats

The content decides, never a file's name: a signature, or a brand of an ISO base media file. Any other content is
rejected: 415 by HTTP, FAILED `unsupported_format` by S3. A file with one of these signatures that cannot be
decoded is FAILED `unreadable_image`.
"""

_CORPORA = """\
## Public corpora

Every file of four public collections is decoded by the real decoder, with its child processes and the default
limits and presets. A file passes in one of two ways. It is DONE: its format and its size as shown are those that
libvips reports, and a lossless variant of at most 640 pixels differs from libvips's rendering (decoded whole,
resized once) by a mean of at most a few levels of 255. Or it is FAILED with the expected code. No file takes
longer than two deadlines, ends the consumer or breaks the decoder. Text files and the like count, too: they must
be rejected.
"""

_DIFFERENCES = """\
Rounding may differ: of 16 bits to 8, of upsampled chroma, of matrices in colour profiles. Where the variant is
smaller than the original, two ways of averaging text and noise differ, too.
"""

_MUTATED = """\
## Mutated files

Valid files of {kinds} kinds (each format, and within it what decoders treat differently) get flipped bits,
overwritten, lost or repeated bytes, or are truncated. Each must end with a result and may cost two children at
most. A truncated file is DONE only where its first image is complete, or looks complete and is marked as damaged.
`make test` decodes 500 of them, `make corpora` all.
"""


def write(results: Results, file: Path = FILE) -> None:
    """Write the page."""
    file.write_text(render(results))


def render(results: Results) -> str:
    """Return the text of the page."""
    parts = [
        _HEAD,
        _formats(),
        _CORPORA,
        _tallies(results.corpora),
        _DIFFERENCES,
        _differences(results.corpora),
        "### Failed, as expected\n",
        _failures(results.corpora),
        "### Done, but not compared with libvips's rendering of the same file\n",
        _exceptions(results.corpora),
        _MUTATED.format(kinds=results.mutated.kinds),
        _mutated(results.mutated),
    ]
    return "\n".join(parts)


def _formats() -> str:
    rows = [
        [
            signature.content_type,
            _beginning(signature),
            str(FORMATS[signature.format].memory_bytes),
            "yes" if signature.format in ANIMATED else "",
        ]
        for signature in SIGNATURES
    ]
    return _table(["format", "begins with", "decoding takes, bytes a pixel", "animations"], rows)


def _beginning(signature: Signature) -> str:
    if signature.pattern:
        return f"`{signature.pattern.decode()}`".replace("|", r"\|")
    return f"`ftyp` with one of the brands {', '.join(sorted(brand.decode() for brand in signature.brands))}"


def _tallies(tallies: list[Tally]) -> str:
    verdicts = sorted({verdict for tally in tallies for verdict in tally.verdicts if verdict != "DONE"})
    rows = [
        [
            tally.title,
            str(tally.files),
            *(str(tally.verdicts.get(verdict, 0)) for verdict in ("DONE", *verdicts)),
            str(tally.compared),
        ]
        for tally in tallies
    ]
    heads = ["corpus", "files", "DONE", *(f"`{verdict}`" for verdict in verdicts), "of the DONE, compared"]
    return _table(heads, rows)


def _differences(tallies: list[Tally]) -> str:
    rows = []
    for name, allowed in LIMITS.items():
        seen = [tally.largest[name] for tally in tallies if name in tally.largest]
        largest = f"{max(seen):.2f}" if seen else "none compared"
        rows.append([name, f"{allowed:g}", f"{allowed + RESIZED:g}", largest])
    return _table(["format", "allowed", "allowed where reduced", "largest seen"], rows)


def _failures(tallies: list[Tally]) -> str:
    codes = sorted({code for tally in tallies for code in tally.exceptions if code not in _DONE})
    rows = [[f"`{code}`", why, str(files)] for code in codes for why, files in _merge(tallies, code).items()]
    return _table(["code", "why", "files"], rows)


_DONE = {
    "differs": "libvips renders it differently",
    "reference": "compared with another file's rendering",
    "not_compared": "only its size and verdict are checked",
    "done": "compared; listed because it looks as if it should fail",
}


def _exceptions(tallies: list[Tally]) -> str:
    rows = [[what, why, str(files)] for kind, what in _DONE.items() for why, files in _merge(tallies, kind).items()]
    return _table(["what", "why", "files"], rows)


def _merge(tallies: list[Tally], kind: str) -> dict[str, int]:
    merged: dict[str, int] = {}
    for tally in tallies:
        for why, files in tally.exceptions.get(kind, {}).items():
            merged[why] = merged.get(why, 0) + files
    return dict(sorted(merged.items()))


def _mutated(mutated: Mutated) -> str:
    rows = [
        [verdict if verdict == "DONE" else f"`{verdict}`", f"{files:,}"]
        for verdict, files in sorted(mutated.verdicts.items())
    ]
    table = _table(["verdict", "files"], rows)
    deaths = f"decoder processes that died: {mutated.deaths}"
    return f"{table}\nOf {mutated.count:,} files with seed {mutated.seed}; {deaths}.\n"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
