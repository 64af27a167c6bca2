import hashlib
import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from pipeline.errors import ErrorCode
from pipeline.outcomes import GiveUp
from support.pictures import faulty_photo, photo, png_header
from support.waiting import wait_until
from thumbnailer.child_process import ChildDiedError, ChildProcess, DecoderBrokenError
from thumbnailer.decoder import Decoder
from thumbnailer.imaging_formats import FORMATS
from thumbnailer.metrics import DEATHS
from unit.thumbnailer.recipes import recipe

RECIPE = recipe(file_bytes=2**20, pixels=10**7, memory_bytes=2**29, seconds=0.6, faults=True)


@pytest.fixture(scope="module")
def decoder():
    with Decoder(RECIPE, children=2) as running:
        yield running


def children():
    return {process.pid for process in psutil.Process().children()}


def deaths():
    return sum(
        sample.value for metric in DEATHS.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


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
    before = children()
    with pytest.raises(GiveUp) as raised:
        decoder.decode(data)
    assert raised.value.code is code
    assert children() == before


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("crash", ErrorCode.DECODER_CRASHED),
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
    edge = int(((memory - 128 * 2**20) / per_pixel) ** 0.5)
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
        (pid,) = children() - earlier
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 10, "its death")
        before = deaths()
        assert lonely.decode(photo()).picture.width == 640
        assert deaths() == before


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
        (pid,) = children() - earlier
        yield running, psutil.Process(pid)


def test_a_child_has_no_secrets_and_no_files(lone_child, monkeypatch):
    _, child = lone_child
    assert child.environ() == {}
    targets = [str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()]
    assert sum(target.startswith("socket:") for target in targets) == 1
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
        started = [psutil.Process(pid) for pid in children() - earlier]
    assert len(started) == 2
    assert not any(process.is_running() for process in started)


def test_a_decoder_that_cannot_start_says_how_to_find_out_why(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(DecoderBrokenError, match=r"/bin/false.*child_main"),
        Decoder(RECIPE, children=1),
    ):
        pass


def is_gone(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_dies_with_its_parent(tmp_path):
    program = (
        "import os, sys\n"
        "from thumbnailer.decoder import Decoder\n"
        "from thumbnailer.pictures import Limits, Recipe\n"
        "with Decoder(Recipe(Limits(2**20, 10**7, 2**29, seconds=60, faults=True), ()), 1) as decoder:\n"
        "    print('ready', flush=True)\n"
        "    decoder.decode(sys.stdin.buffer.read())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout.readline() == b"ready\n"
        (child,) = psutil.Process(parent.pid).children()
        parent.stdin.write(faulty_photo("hang"))
        parent.stdin.close()
        wait_until(lambda: child.cpu_times().user > 0 and child.status() == psutil.STATUS_SLEEPING, 10, "the child")
        parent.kill()
    wait_until(lambda: is_gone(child), 10, "the child's death")
