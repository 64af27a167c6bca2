import hashlib
import io
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import psutil
import pytest
from PIL import Image

from pipeline.errors import ErrorCode
from pipeline.outcomes import GiveUp
from support.pictures import faulty_photo, photo, png_header
from support.waiting import wait_until
from thumbnailer.child_process import ENVIRONMENT, ChildDiedError, ChildProcess, DecoderBrokenError
from thumbnailer.decoder import Decoder
from thumbnailer.imaging_formats import FORMATS
from thumbnailer.metrics import DEATHS, RETIREMENTS
from unit.thumbnailer.children import children, is_gone, read_status, started_since, total
from unit.thumbnailer.recipes import recipe

RECIPE = recipe(file_bytes=2**20, pixels=10**7, memory_bytes=2**29, seconds=1, faults=True)


@pytest.fixture(scope="module")
def decoder():
    with Decoder(RECIPE, children=2) as running:
        yield running


def deaths():
    return total(DEATHS)


def test_a_picture_comes_back_decoded_and_named_after_its_bytes(decoder):
    decoded = decoder.decode(photo(640, 480))
    assert (decoded.picture.format, decoded.picture.width, decoded.picture.height) == ("JPEG", 640, 480)
    (rendition,) = decoded.picture.renditions
    assert (rendition.preset, rendition.width, rendition.height) == ("thumbnail", 256, 192)
    assert rendition.data.startswith(b"\xff\xd8")
    assert decoded.sha256 == hashlib.sha256(photo(640, 480)).hexdigest()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no picture", ErrorCode.UNSUPPORTED_FORMAT),
        (photo()[:2000], ErrorCode.UNREADABLE_IMAGE),
        (png_header(30_000, 30_000), ErrorCode.IMAGE_TOO_LARGE),
    ],
)
def test_a_bad_picture_costs_no_child(decoder, data, code):
    before = deaths(), children()
    with pytest.raises(GiveUp) as raised:
        decoder.decode(data)
    assert raised.value.code is code
    assert (deaths(), children()) == before


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("crash", ErrorCode.DECODER_CRASHED),
        ("raise", ErrorCode.DECODER_CRASHED),
        ("hang", ErrorCode.DECODER_TIMEOUT),
        ("memory", ErrorCode.DECODER_OUT_OF_MEMORY),
    ],
)
def test_a_picture_that_kills_gets_a_second_child_and_then_its_code(decoder, fault, code):
    before = deaths()
    with pytest.raises(GiveUp) as raised:
        decoder.decode(faulty_photo(fault))
    assert raised.value.code is code
    assert deaths() == before + 2
    assert decoder.decode(photo()).picture.width == 640


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


@pytest.mark.parametrize(("kind", "mode", "options"), HUNGRY, ids=[kind for kind, *_ in HUNGRY])
def test_a_picture_that_is_not_refused_fits_into_the_memory(kind, mode, options):
    memory = 256 * 2**20
    per_pixel = FORMATS[kind].bytes_per_pixel + (6 if kind == "BMP" else 1)
    edge = int(((memory - 208 * 2**20) / per_pixel) ** 0.5)
    file = io.BytesIO()
    Image.new(mode, (edge, edge), 1).save(file, kind, **options)
    with Decoder(recipe(pixels=10**8, memory_bytes=memory, seconds=20), children=1) as small:
        assert small.decode(file.getvalue()).picture.width == edge


def test_faults_are_a_test_s_alone():
    with Decoder(recipe(), children=1) as sober:
        assert sober.decode(faulty_photo("crash")).picture.width == 64


def test_a_child_that_died_of_something_else_costs_its_successor_s_picture_no_try():
    earlier = children()
    with Decoder(RECIPE, children=1) as lonely:
        for process in started_since(earlier):  # even if it happened to the spare as well
            process.kill()
            wait_until(lambda process=process: is_gone(process), 10, "its death")
        before = deaths()
        assert lonely.decode(photo()).picture.width == 640
        assert deaths() == before


def test_a_child_without_work_gives_back_what_large_pictures_took():
    earlier = children()
    file = io.BytesIO()
    Image.radial_gradient("L").resize((2400, 2400)).convert("RGB").save(file, "JPEG", progressive=True)
    with Decoder(RECIPE, children=1) as running:
        child, _ = started_since(earlier)
        for _ in range(3):  # the allocator gives the first one back at once, and keeps room for more of its size
            running.decode(file.getvalue())
        peak = read_status(child, "VmHWM")
        wait_until(lambda: read_status(child, "VmRSS") < peak - 10 * 2**20, 10, "some memory to be given back")
        assert running.decode(photo()).picture.width == 640


def test_a_child_retires_after_its_share_of_pictures_and_the_spare_takes_over():
    earlier, retired = children(), total(RETIREMENTS)
    with Decoder(RECIPE, children=1, retirement=3) as running:
        first, spare = started_since(earlier)
        for seed in range(3):
            assert running.decode(photo(seed=seed)).picture.width == 640
        assert first.is_running()
        assert total(RETIREMENTS) == retired
        assert running.decode(photo()).picture.width == 640
        assert total(RETIREMENTS) == retired + 1
        wait_until(lambda: is_gone(first), 10, "the end of the first")
        assert started_since(earlier)[0] == spare, "which has a successor of its own by now"
        assert spare.rlimit(psutil.RLIMIT_CPU)[0] > 0, "set when a picture came"
        before = deaths()
        for seed in range(10):
            assert running.decode(photo(seed=seed)).picture.width == 640
        assert (total(RETIREMENTS), deaths()) == (retired + 4, before)


def test_the_second_try_need_not_wait_for_a_start(monkeypatch):
    """The spare is there already: nothing is started before the second try has its answer."""
    earlier = children()
    with Decoder(RECIPE, children=1) as running:
        started_since(earlier)
        may_start, real = Event(), ChildProcess.__init__

        def start_late(self, recipe):
            if not may_start.wait(5):
                raise DecoderBrokenError("for the test")
            real(self, recipe)

        monkeypatch.setattr(ChildProcess, "__init__", start_late)
        with pytest.raises(GiveUp):
            running.decode(faulty_photo("crash"))
        may_start.set()


def test_the_second_try_can_succeed(decoder, monkeypatch):
    real, calls = ChildProcess.decode, []

    def dies_once(self, data):
        calls.append(self)
        if len(calls) == 1:
            self.end()
            raise ChildDiedError(ErrorCode.DECODER_CRASHED, "for the test")
        return real(self, data)

    monkeypatch.setattr(ChildProcess, "decode", dies_once)
    assert decoder.decode(photo()).picture.width == 640
    assert len(set(calls)) == 2


def test_many_threads_share_few_children(decoder):
    sizes = [(300 + n, 200 + n) for n in range(60)]
    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(lambda size: decoder.decode(photo(*size)), sizes))
    assert [(d.picture.width, d.picture.height) for d in decoded] == sizes
    assert len({d.sha256 for d in decoded}) == 60


def test_a_bad_neighbour_harms_nobody(decoder):
    jobs = [faulty_photo("crash") if n % 5 == 0 else photo(seed=n) for n in range(30)]

    def outcome(data):
        try:
            return decoder.decode(data).picture.width
        except GiveUp as fault:
            return fault.code

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(outcome, jobs))
    assert outcomes == [ErrorCode.DECODER_CRASHED if n % 5 == 0 else 640 for n in range(30)]


@pytest.fixture
def lone_child():
    earlier = children()
    with Decoder(RECIPE, children=1) as running:
        yield running, started_since(earlier)[0]


def test_a_child_has_no_secrets_and_no_files(lone_child, monkeypatch):
    _, child = lone_child
    assert child.environ() == ENVIRONMENT  # and nothing of ours
    assert all(name.startswith(("GLIBC_", "MALLOC_", "OPENBLAS_")) for name in ENVIRONMENT)
    targets = [str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()]
    (channel,) = (target for target in targets if target.startswith("socket:"))
    assert set(targets) == {channel, "/dev/null"}
    status = Path(f"/proc/{child.pid}/limits").read_text()
    limits = {line[:26].strip(): line[26:].split()[0] for line in status.splitlines()[1:]}
    assert limits["Max address space"] == str(RECIPE.limits.memory_bytes)
    assert limits["Max core file size"] == limits["Max file size"] == "0"
    assert int(limits["Max open files"]) < 100


def test_a_child_s_cpu_time_is_limited_picture_by_picture(lone_child):
    decoder, child = lone_child
    decoder.decode(photo())
    soft, _ = child.rlimit(psutil.RLIMIT_CPU)
    assert 1 <= soft <= 3


def test_children_ignore_what_tells_the_parent_to_stop(lone_child):
    decoder, child = lone_child
    for number in (signal.SIGINT, signal.SIGTERM):
        child.send_signal(number)
    assert decoder.decode(photo()).picture.width == 640
    assert child.is_running()


def test_children_end_with_the_decoder():
    earlier = children()
    with Decoder(RECIPE, children=2):
        started = started_since(earlier, 3)
    assert not any(process.is_running() for process in started)


def test_an_installation_that_cannot_decode_says_so_before_it_is_given_a_picture():
    with (
        pytest.raises(DecoderBrokenError, match=r"(?s)can't decode what it should.*more than 100"),
        Decoder(recipe(memory_bytes=100 * 2**20), children=1),
    ):
        pass


def test_a_picture_is_not_blamed_where_no_child_starts_any_more(monkeypatch):
    def start_in_vain(*_):
        raise DecoderBrokenError("for the test")

    with Decoder(RECIPE, children=1) as running:
        monkeypatch.setattr(ChildProcess, "__init__", start_in_vain)
        for _ in range(2):  # the spare, and then nothing
            with pytest.raises((GiveUp, DecoderBrokenError)) as raised:
                running.decode(faulty_photo("crash"))
        assert raised.type is DecoderBrokenError
        monkeypatch.undo()
        wait_until(lambda: decodes(running), 10, "its recovery")


def decodes(decoder):
    try:
        return decoder.decode(photo()).picture.width == 640
    except DecoderBrokenError:
        return False


def test_a_decoder_that_cannot_start_says_how_to_find_out_why(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(DecoderBrokenError, match=r"/bin/false.*child_main"),
        Decoder(RECIPE, children=1),
    ):
        pass


def test_a_child_dies_with_its_parent(tmp_path):
    program = (
        "import os, sys\n"
        "from thumbnailer.decoder import Decoder\n"
        "from thumbnailer.pictures import Limits, Recipe\n"
        "from thumbnailer.presets import Preset\n"
        "recipe = Recipe(Limits(2**20, 10**7, 2**29, seconds=60, faults=True), (Preset('small', 64),))\n"
        "with Decoder(recipe, 1) as decoder:\n"
        "    print('ready', flush=True)\n"
        "    decoder.decode(sys.stdin.buffer.read())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        assert b"ready\n" in iter(parent.stdout.readline, b"")
        parent.stdin.write(faulty_photo("hang"))
        parent.stdin.close()
        pair = wait_until(
            lambda: len(now := psutil.Process(parent.pid).children()) == 2 and now, 10, "the children"
        )
        wait_until(lambda: all(child.status() == psutil.STATUS_SLEEPING for child in pair), 10, "them at rest")
        parent.kill()
    wait_until(lambda: all(map(is_gone, pair)), 10, "the children's death")
