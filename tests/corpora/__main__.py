"""Decode the public corpora and mutated files, then write ``docs/formats.md``."""

import argparse
import logging
import sys

import structlog

from tests.corpora import report
from tests.corpora.expectations import exceptions
from tests.corpora.judging import Judgement, count_deaths, judge_all, make_options
from tests.corpora.mutations import SEED, count_kinds, decode_all, make_mutations
from tests.corpora.results import Mutated, Results, count
from tests.corpora.sources import Corpus, CorpusUnavailableError, fetch, list_corpora
from thumbmill.thumbnailer.sandbox.pool import Decoder


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/corpora", description=__doc__)
    parser.add_argument("--mutations", type=int, default=20_000, help="mutated files (default: 20000, a minute)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the mutations (default: {SEED})")
    parser.add_argument(
        "--page", action="store_true", help="only write the page again, from the results of the last run"
    )
    arguments = parser.parse_args()
    if arguments.page:
        report.write(Results.load())
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with Decoder(make_options(), children=1) as decoder:
        judged = {corpus.title: judge_corpus(decoder, corpus) for corpus in list_corpora()}
        check([judgement for judgements in judged.values() for judgement in judgements])
        mutated = mutate(decoder, arguments.mutations, arguments.seed)
    results = Results([count(title, judgements) for title, judgements in judged.items()], mutated)
    results.save()
    report.write(results)
    log_progress(f"wrote {report.FILE}")


def judge_corpus(decoder: Decoder, corpus: Corpus) -> list[Judgement]:
    """Fetch a corpus and judge all of it."""
    log_progress(f"{corpus.title}: fetching, unless it is in {corpus.home}")
    fetch(corpus)
    files = corpus.files()
    log_progress(f"{corpus.title}: {len(files)} files")
    return list(judge_all(decoder, files))


def check(judgements: list[Judgement]) -> None:
    """Exit with all objections, if there are any."""
    objections = [f"{judgement.name}: {judgement.objection}" for judgement in judgements if judgement.objection]
    used = {judgement.expectation.pattern for judgement in judgements}
    objections += [f"expected.toml: {e.pattern} matches no file" for e in exceptions() if e.pattern not in used]
    if objections:
        raise SystemExit("\n".join(objections))


def mutate(decoder: Decoder, number: int, seed: int) -> Mutated:
    """Decode mutated files and count the results."""
    log_progress(f"{number} mutated files")
    before = count_deaths()
    verdicts = decode_all(decoder, make_mutations(number, seed), count_deaths)
    return Mutated(number, seed, count_kinds(), dict(verdicts), int(count_deaths() - before))


def log_progress(text: str) -> None:
    """Log what is going on."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    try:
        main()
    except CorpusUnavailableError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
