"""The details of damaged files: for users, and for the log."""

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

DETAILS = {"", "the file is truncated", "the header is damaged"}
KINDS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF")


def noise():
    return Image.frombytes("RGB", (200, 150), random.Random(1).randbytes(200 * 150 * 3))


def rejection(data):
    try:
        process_image(data, make_options())
    except UndecodableImageError as error:
        return error
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_details_contain_no_text_of_a_library(kind):
    data, chance = written(noise(), kind), random.Random(2)
    broken = [data[: len(data) * part // 10] for part in range(1, 10)]
    for _ in range(20):
        damaged = bytearray(data)
        for _ in range(50):
            damaged[chance.randrange(40, len(data))] = chance.randrange(256)
        broken.append(bytes(damaged))
    rejected = [error for error in map(rejection, broken) if error and error.code is ErrorCode.UNREADABLE_IMAGE]
    assert rejected
    assert {error.detail for error in rejected} <= DETAILS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_truncated_file_is_reported_as_truncated(kind):
    error = rejection(written(noise(), kind)[:-6000])
    assert (error.code, error.detail) == (ErrorCode.UNREADABLE_IMAGE, "the file is truncated")
    assert error.cause


def test_the_cause_is_sent_by_the_decoder_process():
    header, parts = respond(written(noise(), "PNG")[:-20_000], make_options(), slow=False)
    with pytest.raises(UndecodableImageError) as raised:
        parse_response(header, parts, make_options())
    assert (raised.value.detail, bool(raised.value.cause)) == ("the file is truncated", True)


def test_the_log_has_the_cause(monkeypatch):
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
