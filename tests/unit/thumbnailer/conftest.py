import pytest

from tests.support.fault_injection.decoder import faulty_decoder


@pytest.fixture(scope="module")
def faulty_decoders():
    """Decoders fail when an image asks for it."""
    holder, name, original = faulty_decoder().find()
    faulty_decoder().apply()
    yield original
    setattr(holder, name, original)
