"""The results of the last complete run, kept so that ``docs/formats.md`` can be written again."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.corpora.judging import Judgement

FILE = Path(__file__).parent / "results.json"


@dataclass
class Tally:
    """The numbers of one corpus."""

    title: str
    files: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    exceptions: dict[str, dict[str, int]] = field(default_factory=dict)  # kind, or code of a failure: why: files
    largest: dict[str, float] = field(default_factory=dict)  # by format, the largest difference that was allowed


@dataclass
class Mutated:
    """The numbers of a run over mutated files."""

    count: int
    seed: int
    kinds: int
    verdicts: dict[str, int]
    deaths: int


@dataclass
class Results:
    """The numbers of a complete run."""

    corpora: list[Tally]
    mutated: Mutated

    def save(self) -> None:
        FILE.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls) -> "Results":
        fields = json.loads(FILE.read_text())
        return cls([Tally(**tally) for tally in fields["corpora"]], Mutated(**fields["mutated"]))


def count(title: str, judgements: Iterable[Judgement]) -> Tally:
    """Count the judgements of one corpus."""
    tally, verdicts = Tally(title), Counter[str]()
    for judgement in judgements:
        tally.files += 1
        verdicts[judgement.verdict] += 1
        expectation = judgement.expectation
        if expectation.kind:
            of_kind = tally.exceptions.setdefault(expectation.code or expectation.kind, {})
            of_kind[expectation.why] = of_kind.get(expectation.why, 0) + 1
        if judgement.difference is not None:
            tally.compared += 1
            largest = max(tally.largest.get(judgement.format, 0.0), judgement.difference)
            tally.largest[judgement.format] = round(largest, 2)
    tally.verdicts = dict(verdicts)
    return tally
