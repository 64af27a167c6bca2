"""What people read of a broken file, and what the log keeps of it."""

import random

import pytest
from PIL import Image
from structlog.testing import capture_logs

from tests.unit.thumbnailer.options import make_options
from tests.unit.thumbnailer.test_imaging import written
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected
from thumbmill.thumbnailer.sandbox.responses import parse_response
from thumbmill.thumbnailer.sandbox.worker import respond

OURS = {"", "the file is truncated", "the header is damaged"}
KINDS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF")


def noise():
    return Image.frombytes("RGB", (200, 150), random.Random(1).randbytes(200 * 150 * 3))


def refusal(data):
    try:
        process_image(data, make_options())
    except UndecodableImageError as fault:
        return fault
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_no_library_speaks_to_people(kind):
    data, chance = written(noise(), kind), random.Random(2)
    broken = [data[: len(data) * part // 10] for part in range(1, 10)]
    for _ in range(20):
        spoilt = bytearray(data)
        for _ in range(50):
            spoilt[chance.randrange(40, len(data))] = chance.randrange(256)
        broken.append(bytes(spoilt))
    refused = [fault for fault in map(refusal, broken) if fault and fault.code is ErrorCode.UNREADABLE_IMAGE]
    assert refused
    assert {fault.detail for fault in refused} <= OURS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_file_that_is_cut_is_said_to_end_too_early(kind):
    fault = refusal(written(noise(), kind)[:-6000])
    assert (fault.code, fault.detail) == (ErrorCode.UNREADABLE_IMAGE, "the file is truncated")
    assert fault.cause


def test_what_a_library_said_comes_out_of_the_child():
    header, parts = respond(written(noise(), "PNG")[:-20_000], make_options(), slow=False)
    with pytest.raises(UndecodableImageError) as raised:
        parse_response(header, parts, make_options())
    assert (raised.value.detail, bool(raised.value.cause)) == ("the file is truncated", True)


def test_the_log_has_what_a_library_said(monkeypatch):
    class Child:
        is_alive, images = True, 0

        def decode(self, *_, **__):
            raise UndecodableImageError.unreadable("OSError: broken data stream when reading image file")

    decoder = Decoder.__new__(Decoder)
    monkeypatch.setattr(decoder, "_ordinary", Idle(Child()), raising=False)
    monkeypatch.setattr(decoder, "_keep_or_replace", lambda child: child)
    with capture_logs() as lines:
        assert decoder.decode(b"") == Rejected(ErrorCode.UNREADABLE_IMAGE)
    assert [line["cause"] for line in lines] == ["OSError: broken data stream when reading image file"]


class Idle:
    def __init__(self, child):
        self.child = child

    def get(self):
        return self.child

    def put(self, child):
        self.child = child
