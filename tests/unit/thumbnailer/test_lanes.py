"""The slow lane: slow images are decoded too, and delay no ordinary ones."""

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
from thumbmill.core.errors import LaneBusy
from thumbmill.thumbnailer.metrics import SLOW_IMAGES
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected

# The limit of an ordinary image is a sixth of a second, so that a PNG of nine megapixels is slow.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("faulty_decoders")]
STRICT = make_options(seconds=2)
LARGE = (3000, 3000)


@contextmanager
def decoders(selected=STRICT, **options):
    with Decoder(selected, children=1, **options) as running, ThreadPoolExecutor(8) as threads:
        yield running, threads


def slow_child(earlier):
    """Return the child of lower priority."""
    return next((child for pid in children() - earlier if (child := psutil.Process(pid)).nice() > os.nice(0)), None)


def test_a_slow_image_is_decoded_by_a_child_of_lower_priority():
    earlier, before = children(), total(SLOW_IMAGES)
    with decoders() as (decoder, _):
        ordinary, _ = started_since(earlier)
        assert decoder.decode(photo()).image.width == 640
        assert slow_child(earlier) is None, "it starts with the first slow image"
        assert decoder.decode(png(*LARGE)).image.width == LARGE[0]
        child = slow_child(earlier)
        assert child not in (None, ordinary)
        assert decoder.decode(png(*LARGE), slow=True).image.width == LARGE[0]
        assert slow_child(earlier) == child
        assert total(SLOW_IMAGES) == before + 2
        assert ordinary.is_running()


def test_slow_images_delay_no_ordinary_ones():
    """Endless images occupy the slow lane while ordinary ones pass, with one child for each lane."""
    with decoders(replace(STRICT, limits=replace(STRICT.limits, seconds=3000))) as (decoder, threads):
        endless = [threads.submit(decoder.decode, faulty_photo("spin"), slow=True) for _ in range(2)]
        wait_until(lambda: is_full(decoder), 30, "the slow lane to be full")
        assert [decoder.decode(photo(seed=n)).image.width for n in range(20)] == [640] * 20
        assert not any(future.done() for future in endless)
        with pytest.raises(LaneBusy) as raised:
            decoder.decode(faulty_photo("spin"), slow=True)
        assert raised.value.lane == "slow"
        with pytest.raises(LaneBusy):
            decoder.check_slow_slot()
        decoder.__exit__()  # or it would wait for the endless ones
        for future in endless:
            future.exception(60)


def is_full(decoder):
    try:
        decoder.check_slow_slot()
    except LaneBusy:
        return True
    return False


def test_a_slot_is_released_after_every_result():
    with decoders() as (decoder, _):
        for data in (b"not an image", faulty_photo("crash"), faulty_photo("memory"), photo()) * 2:
            result = decoder.decode(data, slow=True)
            assert isinstance(result, Rejected) or result.image.width == 640
            decoder.check_slow_slot()
