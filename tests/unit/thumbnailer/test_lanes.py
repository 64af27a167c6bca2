"""Slow pictures beside ordinary ones: they are decoded too, and hold up nobody."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from tests.support.hostile import png
from tests.support.images import faulty_photo, photo
from tests.support.waiting import wait_until
from tests.unit.thumbnailer.children import children, started_since, total
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.errors import LaneBusy
from thumbmill.thumbnailer.metrics import DECODER_DEATHS, SLOW_IMAGES
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected

# An ordinary picture may be expected to take a sixth of a second, so that a PNG of nine megapixels is a slow one.
pytestmark = pytest.mark.usefixtures("faulty_decoders")
STRICT = make_options(seconds=2)
LARGE = (3000, 3000)


@contextmanager
def decoders(selected=STRICT, **options):
    with Decoder(selected, children=1, **options) as running, ThreadPoolExecutor(8) as threads:
        yield running, threads


def slow_child(earlier):
    """The child that is nice."""
    return next((child for pid in children() - earlier if (child := psutil.Process(pid)).nice() > os.nice(0)), None)


def test_a_slow_picture_is_decoded_by_a_child_of_its_own_that_is_nice():
    earlier, before = children(), total(SLOW_IMAGES)
    with decoders() as (decoder, _):
        ordinary, _ = started_since(earlier)
        assert decoder.decode(photo()).image.width == 640
        assert slow_child(earlier) is None, "none is started for nothing"
        assert decoder.decode(png(*LARGE)).image.width == LARGE[0]
        child = slow_child(earlier)
        assert child not in (None, ordinary)
        assert decoder.decode(png(*LARGE), slow=True).image.width == LARGE[0]
        assert slow_child(earlier) == child
        assert total(SLOW_IMAGES) == before + 2
        assert ordinary.is_running()


def test_slow_pictures_hold_up_no_ordinary_one():
    """Pictures that never end have the slow lane while ordinary ones pass, though there is one child for them."""
    with decoders(replace(STRICT, limits=replace(STRICT.limits, seconds=3000))) as (decoder, threads):
        endless = [threads.submit(decoder.decode, faulty_photo("spin"), slow=True) for _ in range(2)]
        wait_until(lambda: is_full(decoder), 30, "slow pictures in hand")
        assert [decoder.decode(photo(seed=n)).image.width for n in range(20)] == [640] * 20
        assert not any(picture.done() for picture in endless)
        with pytest.raises(LaneBusy) as raised:
            decoder.decode(faulty_photo("spin"), slow=True)
        assert raised.value.lane == "slow"
        with pytest.raises(LaneBusy):
            decoder.check_slow_slot()
        decoder.__exit__()  # or the endless ones would be waited for
        for picture in endless:
            picture.exception(60)


def is_full(decoder):
    try:
        decoder.check_slow_slot()
    except LaneBusy:
        return True
    return False


def test_a_place_is_free_again_whatever_became_of_its_picture():
    with decoders() as (decoder, _):
        for data in (b"no picture", faulty_photo("crash"), faulty_photo("spin"), photo()) * 2:
            result = decoder.decode(data, slow=True)
            assert isinstance(result, Rejected) or result.image.width == 640
            decoder.check_slow_slot()


def test_what_uses_up_an_ordinary_share_is_no_ordinary_picture_s_trouble():
    before = total(DECODER_DEATHS)
    with decoders() as (decoder, _):
        rejected = decoder.decode(faulty_photo("spin"))
        assert rejected.code is ErrorCode.DECODER_TIMEOUT
    assert total(DECODER_DEATHS) == before + 2
