"""The variants of an image are stored at the same time, and all of them before the result is returned."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from tests.unit.thumbnailer.test_handler import DETAILS
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.thumbnailer.imaging.model import EncodedVariant, ImageResult
from thumbmill.thumbnailer.sandbox.process import Decoded
from thumbmill.thumbnailer.variants import VariantStore

NAMES = ("thumbnail", "small", "large")


def decoded():
    variants = [EncodedVariant(name, "image/jpeg", 4, 3, name.encode()) for name in NAMES]
    return Decoded(ImageResult("JPEG", 40, 30, variants, DETAILS), hashlib.sha256(b"data").hexdigest())


class Storage:
    """Calls a function for every object."""

    def __init__(self, put):
        self.put = put


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4) as executor:
        yield executor


def test_variants_are_stored_at_the_same_time(executor):
    all_are_being_stored = Barrier(len(NAMES))
    storage = Storage(lambda *_: all_are_being_stored.wait(timeout=30))
    stored = VariantStore(storage, "v7", executor).put_all("photo.jpg", decoded())
    assert [variant.type for variant in stored] == list(NAMES)


@pytest.mark.parametrize("failing", NAMES)
def test_a_failure_is_raised_once_no_variant_is_being_stored(executor, failing):
    """The handler may delete what was stored: a variant that arrived later would stay."""
    stored, failed = [], Event()

    def put(_bucket, key, data, _content_type):
        if data.decode() == failing:
            failed.set()
            raise DependencyUnavailable("minio")
        assert failed.wait(30)
        stored.append(key)

    with pytest.raises(DependencyUnavailable):
        VariantStore(Storage(put), "v7", executor).put_all("photo.jpg", decoded())
    assert len(stored) == len(NAMES) - 1
