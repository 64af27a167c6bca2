"""Decode mutated files: 500 in each run, more with --mutations=N."""

from dataclasses import replace

import pytest

from tests.corpora.judging import count_deaths, make_options
from tests.corpora.mutations import decode_all, make_mutations, valid_files
from tests.support.images import photo
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.preflight.costs import FORMATS
from thumbmill.thumbnailer.sandbox.pool import Decoder

ANIMATED = {"MPO", "APNG", "GIF animated"}  # their first image may be complete although the file is truncated


@pytest.fixture(scope="module")
def decoder():
    with Decoder(make_options(), children=1) as running:
        yield running


@pytest.mark.timeout(3600)
def test_every_mutated_file_has_a_result(decoder, pytestconfig):
    count = pytestconfig.getoption("mutations")
    verdicts = decode_all(decoder, make_mutations(count), count_deaths)
    assert sum(verdicts.values()) == count
    assert verdicts["DONE"] > count // 10
    assert verdicts[ErrorCode.UNREADABLE_IMAGE] > count // 10
    assert decoder.decode(photo()).image.width == 640


@pytest.mark.timeout(3600)
def test_every_mutated_file_has_a_result_where_damaged_images_are_kept(decoder, pytestconfig):
    count = pytestconfig.getoption("mutations") // 2
    options = replace(make_options(), keep_damaged=True)
    with Decoder(options, children=1) as keeping:
        kept = decode_all(keeping, make_mutations(count), count_deaths)
    assert sum(kept.values()) == count
    assert kept["DONE"] > decode_all(decoder, make_mutations(count), count_deaths)["DONE"]


def test_the_same_seed_gives_the_same_files():
    first, second = (list(make_mutations(60, seed=7)) for _ in range(2))
    assert first == second
    assert first != list(make_mutations(60, seed=8))


def test_the_valid_files_are_valid_and_of_every_format(decoder):
    assert {decoder.decode(data).image.format for data in valid_files().values()} == set(FORMATS)


@pytest.mark.parametrize("kind", sorted(valid_files().keys() - ANIMATED))
@pytest.mark.parametrize("kept", [0.1, 0.4, 0.7, 0.9])
def test_a_truncated_file_is_not_done_unless_it_looks_complete(decoder, kind, kept):
    whole = valid_files()[kind]
    if (kind, kept) == ("JPEG progressive", 0.9):  # the end of its last scan, which only refines known coefficients
        assert decoder.decode(whole[: int(len(whole) * kept)]).image.damaged
        return
    rejected = decoder.decode(whole[: int(len(whole) * kept)])
    assert rejected.code is ErrorCode.UNREADABLE_IMAGE
