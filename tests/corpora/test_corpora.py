"""Decode public images with the real decoder: a sample of Pillow's in each run, all with --corpora=all."""

import pytest

from tests.corpora import report
from tests.corpora.expectations import exceptions, expect
from tests.corpora.judging import judge_all, make_options
from tests.corpora.results import Results
from tests.corpora.sources import fetch, list_corpora
from tests.support.images import photo
from thumbmill.thumbnailer.sandbox.pool import Decoder

ONE_OF = 6  # of the files without an exception, this share is in a sample
ALWAYS = ["pillow/icc_profile_big.jpg", "pillow/i_trns.png"]  # colours far from sRGB; a transparent grey of 16 bits


@pytest.fixture(scope="module")
def decoder():
    with Decoder(make_options(), children=1) as running:
        yield running


@pytest.fixture(scope="module")
def everything(pytestconfig):
    return pytestconfig.getoption("corpora") == "all"


@pytest.fixture(scope="module")
def judgements(decoder, everything):
    """Judge the selected files. Pillow's corpus comes from the package index, like its wheel."""
    found = []
    for corpus in list_corpora():
        if everything or corpus.name == "pillow":
            fetch(corpus)
            files = corpus.files()
            chosen = files if everything else {name: files[name] for name in sample(files)}
            found += judge_all(decoder, chosen, files)
    return found


def sample(names):
    usual = [name for name in names if not expect(name).kind]
    special = [name for name in names if expect(name).kind and expect(name).pattern.startswith("pillow/")]
    return [*ALWAYS, *usual[::ONE_OF], *special]


@pytest.mark.timeout(1800)
def test_every_file_has_the_expected_result(judgements):
    assert len(judgements) > 200
    assert [f"{judgement.name}: {judgement.objection}" for judgement in judgements if judgement.objection] == []


def test_no_exception_is_out_of_date(judgements, everything):
    used = {judgement.expectation.pattern for judgement in judgements}
    listed = {exception.pattern for exception in exceptions()}
    checkable = listed if everything else {pattern for pattern in listed if pattern.startswith("pillow/")}
    assert checkable - used == set()


def test_the_decoder_has_survived_all_files(judgements, decoder):
    assert decoder.decode(photo()).image.width == 640


def test_the_page_on_formats_is_up_to_date():
    assert report.FILE.read_text() == report.render(Results.load()), "run `make corpora`, or tests/corpora --page"
