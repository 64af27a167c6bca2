"""The pool of decoders: results, second tries, and images that kill children."""

import hashlib
import io
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest
from PIL import Image

from tests.support.images import faulty_photo, photo, png_header
from tests.support.waiting import wait_until
from tests.unit.thumbnailer.children import busy_neighbours, children, has_ended, started_since, total
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.thumbnailer.imaging.preflight.costs import FORMATS
from thumbmill.thumbnailer.metrics import DECODER_DEATHS, INTERRUPTIONS
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import (
    ChildDiedError,
    ChildProcess,
    DecoderInterruptedError,
    DecoderUnavailableError,
    Rejected,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("faulty_decoders")]
OPTIONS = make_options(file_bytes=2**20, pixels=10**7, memory_bytes=2**29)


@pytest.fixture(scope="module")
def decoder():
    with Decoder(OPTIONS, children=2) as running:
        yield running


def deaths():
    return total(DECODER_DEATHS)


def test_an_image_is_returned_decoded_with_its_hash(decoder):
    decoded = decoder.decode(photo(640, 480))
    assert (decoded.image.format, decoded.image.width, decoded.image.height) == ("JPEG", 640, 480)
    (variant,) = decoded.image.variants
    assert (variant.preset, variant.width, variant.height) == ("thumbnail", 256, 192)
    assert variant.data.startswith(b"\xff\xd8")
    assert decoded.sha256 == hashlib.sha256(photo(640, 480)).hexdigest()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"not an image", ErrorCode.UNSUPPORTED_FORMAT),
        (photo()[:2000], ErrorCode.UNREADABLE_IMAGE),
        (png_header(30_000, 30_000), ErrorCode.IMAGE_TOO_LARGE),
    ],
)
def test_a_rejected_image_does_not_end_its_child(decoder, data, code):
    before = deaths(), children()
    rejected = decoder.decode(data)
    assert rejected.code is code
    assert (deaths(), children()) == before


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("crash", ErrorCode.DECODER_CRASHED),
        ("raise", ErrorCode.DECODER_CRASHED),
        ("memory", ErrorCode.DECODER_OUT_OF_MEMORY),
    ],
)
def test_an_image_that_kills_its_child_gets_a_second_one_and_then_its_code(decoder, fault, code):
    before = deaths()
    rejected = decoder.decode(faulty_photo(fault))
    assert rejected.code is code
    assert deaths() == before + 2
    assert decoder.decode(photo()).image.width == 640


def start_decoding(decoder, data, threads):
    """Start decoding an image in a decoder with one child, and wait until the child has it."""
    idle = decoder._ordinary  # noqa: SLF001 - nothing else shows that an image is being decoded
    decoding = threads.submit(decoder.decode, data)
    wait_until(idle.empty, 30, "the child to be busy")
    return decoding


@pytest.mark.parametrize("fault", ["hang", "spin"])
def test_a_decoder_closed_during_an_image_does_not_reject_it(fault):
    """A worker may be busy beyond the grace period of a stop: then another handles its image, at no cost."""
    with ThreadPoolExecutor(1) as threads:
        with Decoder(OPTIONS, children=1) as stopped:
            decoding = start_decoding(stopped, faulty_photo(fault), threads)
        assert isinstance(decoding.exception(60), DependencyUnavailable)


def test_a_decoder_closed_during_a_second_try_does_not_reject_the_image(monkeypatch):
    """The spare that runs the second try belongs to no slot when the decoder is closed."""
    real, second = ChildProcess.decode, Event()

    def crash_first(self, data, **lane):
        if second.is_set():
            return real(self, data, **lane)
        second.set()
        self.end()
        raise ChildDiedError(ErrorCode.DECODER_CRASHED, "for the test")

    monkeypatch.setattr(ChildProcess, "decode", crash_first)
    with ThreadPoolExecutor(1) as threads:
        with Decoder(OPTIONS, children=1) as stopped:
            decoding = start_decoding(stopped, faulty_photo("hang"), threads)
            assert second.wait(60)
        assert isinstance(decoding.exception(60), DependencyUnavailable)


def test_an_image_that_computes_forever_reaches_its_cpu_limit_in_both_lanes():
    before = deaths()
    with Decoder(replace(OPTIONS, limits=replace(OPTIONS.limits, seconds=1)), children=1) as impatient:
        rejected = impatient.decode(faulty_photo("spin"))
        assert rejected.code is ErrorCode.DECODER_TIMEOUT
        assert deaths() == before + 2, "one child of each lane"
        assert isinstance(impatient.decode(faulty_photo("spin"), slow=True), Rejected)
        assert deaths() == before + 3, "a slow image is tried once"
        assert impatient.decode(photo()).image.width == 640


IMPATIENT = replace(OPTIONS, limits=replace(OPTIONS.limits, stall_seconds=1))


def test_a_stall_without_cpu_time_does_not_reject_an_image():
    before = total(INTERRUPTIONS), deaths()
    with Decoder(IMPATIENT, children=1) as decoder:
        with pytest.raises(DecoderInterruptedError, match="no CPU time for 1 s"):
            decoder.decode(faulty_photo("hang"))
        assert decoder.decode(photo()).image.width == 640
    assert (total(INTERRUPTIONS), deaths()) == (before[0] + 1, before[1])


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_stopped_or_killed_child_does_not_reject_an_image(number):
    earlier = children()
    with Decoder(IMPATIENT, children=1) as decoder, ThreadPoolExecutor(1) as threads:
        child, _ = started_since(earlier)
        decoding = start_decoding(decoder, faulty_photo("spin"), threads)
        child.send_signal(number)
        assert isinstance(decoding.exception(60), DecoderInterruptedError)
        wait_until(lambda: has_ended(child), 30, "the child to end")
        assert decoder.decode(photo()).image.width == 640


def test_a_busy_machine_is_not_a_stall():
    """Next to four busy processes on the child's own core."""
    earlier = children()
    with Decoder(replace(OPTIONS, limits=replace(OPTIONS.limits, stall_seconds=5)), children=1) as decoder:
        child, _ = started_since(earlier)
        with busy_neighbours(child, 4):
            assert decoder.decode(photo(3600, 2700)).image.width == 3600
        assert child.is_running(), "it was neither replaced nor killed"


@pytest.mark.long
def test_no_good_image_fails_next_to_four_busy_processes_on_its_core():
    """32 photos of 12 megapixels in eight threads, two decoders, and four busy processes, all on one core."""
    before = deaths(), total(INTERRUPTIONS)
    data, cores, earlier = photo(4032, 3024), os.sched_getaffinity(0), children()
    os.sched_setaffinity(0, {min(cores)})
    try:
        with Decoder(make_options(seconds=10), children=2) as decoder, ThreadPoolExecutor(8) as threads:
            child, *_ = started_since(earlier, 3)
            with busy_neighbours(child, 4):
                widths = [decoded.image.width for decoded in threads.map(decoder.decode, [data] * 32)]
    finally:
        os.sched_setaffinity(0, cores)
    assert widths == [4032] * 32
    assert (deaths(), total(INTERRUPTIONS)) == before


HUNGRY = [
    ("JPEG", "CMYK", {"progressive": True}),
    ("PNG", "RGB", {"transparency": (1, 2, 3)}),
    ("GIF", "P", {"transparency": 1}),
    ("WEBP", "RGBA", {"lossless": True, "quality": 0, "method": 0}),
    ("BMP", "RGB", {}),
    ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
    ("AVIF", "RGBA", {"speed": 10}),
    ("HEIF", "RGB", {"quality": 10, "enc_params": {"preset": "ultrafast"}}),
]


MEMORY = 256 * 2**20


@pytest.fixture(scope="module")
def small_decoder():
    with Decoder(make_options(pixels=10**8, memory_bytes=MEMORY, seconds=20), children=1) as running:
        yield running


@pytest.mark.parametrize(("kind", "mode", "options"), HUNGRY, ids=[kind for kind, *_ in HUNGRY])
def test_an_accepted_image_fits_into_the_memory(small_decoder, kind, mode, options):
    per_pixel = FORMATS[kind].memory_bytes + (6 if kind == "BMP" else 1)
    edge = int(((MEMORY - 208 * 2**20) / per_pixel) ** 0.5)
    file = io.BytesIO()
    Image.new(mode, (edge, edge), 1).save(file, kind, **options)
    before = deaths()
    assert small_decoder.decode(file.getvalue()).image.width == edge
    assert deaths() == before


def test_a_decoder_of_the_service_ignores_requests_to_fail(faulty_decoders, monkeypatch):
    monkeypatch.setattr("thumbmill.thumbnailer.sandbox.process.WORKER", faulty_decoders)
    with Decoder(make_options(), children=1) as normal:
        assert normal.decode(faulty_photo("crash")).image.width == 64


def test_a_child_that_died_while_idle_costs_the_next_image_no_try():
    earlier = children()
    with Decoder(OPTIONS, children=1) as lonely:
        for process in started_since(earlier):  # even if it happened to the spare as well
            process.kill()
            wait_until(lambda process=process: has_ended(process), 10, "its death")
        before = deaths()
        assert lonely.decode(photo()).image.width == 640
        assert deaths() == before


def test_the_second_try_does_not_wait_for_a_start(monkeypatch):
    """The spare is running already: no child is started before the second try has its response."""
    earlier = children()
    with Decoder(OPTIONS, children=1) as running:
        started_since(earlier)
        may_start, real = Event(), ChildProcess.__init__

        def start_late(self, recipe):
            if not may_start.wait(5):
                raise DecoderUnavailableError("for the test")
            real(self, recipe)

        monkeypatch.setattr(ChildProcess, "__init__", start_late)
        assert isinstance(running.decode(faulty_photo("crash")), Rejected)
        may_start.set()


def test_the_second_try_can_succeed(decoder, monkeypatch):
    real, calls = ChildProcess.decode, []

    def dies_once(self, data, **lane):
        calls.append(self)
        if len(calls) == 1:
            self.end()
            raise ChildDiedError(ErrorCode.DECODER_CRASHED, "for the test")
        return real(self, data, **lane)

    monkeypatch.setattr(ChildProcess, "decode", dies_once)
    assert decoder.decode(photo()).image.width == 640
    assert len(set(calls)) == 2


def test_many_threads_share_few_children(decoder):
    sizes = [(300 + n, 200 + n) for n in range(60)]
    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(lambda size: decoder.decode(photo(*size)), sizes))
    assert [(d.image.width, d.image.height) for d in decoded] == sizes
    assert len({d.sha256 for d in decoded}) == 60


def test_a_killer_does_not_affect_other_images(decoder):
    jobs = [faulty_photo("crash") if n % 5 == 0 else photo(seed=n) for n in range(15)]

    def outcome(data):
        result = decoder.decode(data)
        return result.code if isinstance(result, Rejected) else result.image.width

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(outcome, jobs))
    assert outcomes == [ErrorCode.DECODER_CRASHED if n % 5 == 0 else 640 for n in range(15)]


def test_an_image_is_not_rejected_if_no_child_starts_any_more(monkeypatch):
    def fail_to_start(*_):
        raise DecoderUnavailableError("for the test")

    with Decoder(OPTIONS, children=1) as running:
        monkeypatch.setattr(ChildProcess, "__init__", fail_to_start)
        for _ in range(2):  # the spare, and then nothing
            error = running_error(running, faulty_photo("crash"))
        assert isinstance(error, DecoderUnavailableError)
        monkeypatch.undo()
        wait_until(lambda: decodes(running), 10, "the decoder to recover")


def running_error(decoder, data):
    try:
        assert isinstance(decoder.decode(data), Rejected)
    except DecoderUnavailableError as error:
        return error
    return None


def decodes(decoder):
    try:
        return decoder.decode(photo()).image.width == 640
    except DecoderUnavailableError:
        return False
