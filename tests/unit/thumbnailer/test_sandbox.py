import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from tests.support.images import ORIENTATION, faulty_photo, photo
from tests.support.profiles import DISPLAY_P3, rgb_profile
from tests.support.waiting import wait_until
from tests.unit.thumbnailer.children import children, started_since
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset
from thumbmill.thumbnailer.sandbox import limits
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import ChildProcess

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("faulty_decoders")]
OPTIONS = make_options(seconds=5)
ESCAPES = (
    "socket, connect, execve, fork, stat, statat, read, write, list, unlink, code, kill, tgkill, ptrace, prlimit"
)


def run(program):
    """Run a program in a process of its own, and return its output."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_child_that_an_image_took_over_is_denied_every_escape():
    with capture_logs() as lines, Decoder(OPTIONS, children=1) as decoder:
        rejected = decoder.decode(faulty_photo("escape"))
        assert rejected.detail == f"refused: {ESCAPES}"
        assert decoder.decode(photo()).image.width == 640
    assert [line["event"] for line in lines] == ["decoder_confined"]


def test_the_filter_needs_no_privileges():
    assert "refused" in run(
        "import os, socket\n"
        "from thumbmill.thumbnailer.sandbox.limits import install_seccomp_filter\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "assert install_seccomp_filter() == ''\n"
        "try: socket.socket()\n"
        "except PermissionError: print('refused')\n"
    )


def test_threads_are_allowed_and_processes_denied():
    assert "works" in run(
        "from threading import Thread\n"
        "from thumbmill.thumbnailer.sandbox.limits import install_seccomp_filter\n"
        "assert install_seccomp_filter() == ''\n"
        "thread = Thread(target=print, args=('works',))\n"
        "thread.start()\n"
        "thread.join()\n"
    )


@pytest.mark.parametrize("user", [0, 65534])
def test_threads_are_bounded(user):
    """As root, and as another user if this kernel supports it."""
    outcome = run(
        "import os\n"
        "from threading import Event, Thread\n"
        "from thumbmill.thumbnailer.sandbox import limits\n"
        f"if os.getuid() == 0 and {user}: os.setuid({user})\n"
        "apart = limits.enter_user_namespace()\n"
        "if os.getuid() == 0 or apart:\n"
        "    assert limits.drop_user(in_user_namespace=apart) == ''\n"
        "    end = Event()\n"
        "    try:\n"
        "        for number in range(1000): Thread(target=end.wait, daemon=True).start()\n"
        "    except RuntimeError: print('refused after', number)\n"
        "    end.set()\n"
        "else: print('not counted here')\n"
    )
    assert outcome in {"refused after 16", "not counted here"}
    if user == 0 and os.getuid() == 0:
        assert outcome == "refused after 16"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_s_children_run_as_other_users_without_capabilities():
    earlier = children()
    with capture_logs() as lines, Decoder(OPTIONS, children=2) as decoder:
        pair = started_since(earlier, 3)
        assert decoder.decode(photo()).image.width == 640
        wait_until(lambda: 0 not in pair[-1].uids(), 30, "a spare that has started")
        for child in pair:
            assert 0 not in {*child.uids(), *child.gids()}
        assert len({child.uids().real for child in pair}) == 3
        status = Path(f"/proc/{pair[0].pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "Groups:\t \n" in status
    assert [line["event"] for line in lines] == ["decoder_confined"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_without_cap_setuid_reports_it(monkeypatch):
    def refuse(_groups):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgroups", refuse)
    assert limits.drop_user(in_user_namespace=False) == "root cannot change its user: Operation not permitted"


def test_a_decoder_that_is_still_root_works_and_warns_once(monkeypatch):
    start = ChildProcess.__init__

    def start_as_root(self, recipe):
        start(self, recipe)
        self.still_root = "it is not allowed"

    monkeypatch.setattr(ChildProcess, "__init__", start_as_root)
    with capture_logs() as lines, Decoder(OPTIONS, children=2) as decoder:
        decoder.decode(photo())
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "decoder_still_root"),
        ("info", "decoder_confined"),
    ]


def test_existing_threads_are_confined_too():
    assert "refused" in run(
        "import socket\n"
        "from threading import Event, Thread\n"
        "from thumbmill.thumbnailer.sandbox.limits import install_seccomp_filter\n"
        "go = Event()\n"
        "def work():\n"
        "    go.wait()\n"
        "    try: socket.socket()\n"
        "    except PermissionError: print('refused')\n"
        "thread = Thread(target=work)\n"
        "thread.start()\n"
        "assert install_seccomp_filter() == ''\n"
        "go.set()\n"
        "thread.join()\n"
    )


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("os.uname = lambda: SimpleNamespace(machine='riscv64')", "there is no table of system calls for riscv64"),
        ("limits._SECCOMP_SET_MODE_FILTER = 99", "the kernel rejects the seccomp filter: Invalid argument"),
    ],
)
def test_the_reason_for_a_missing_filter_is_reported(broken, reason):
    program = (
        "import os\n"
        "from types import SimpleNamespace\n"
        "from thumbmill.thumbnailer.sandbox import limits\n"
        f"{broken}\n"
        "print(limits.install_seccomp_filter())\n"
    )
    assert run(program) == reason


def test_a_decoder_without_a_filter_works_and_warns_once(monkeypatch):
    start = ChildProcess.__init__

    def start_unconfined(self, recipe):
        start(self, recipe)
        self.unconfined = "the kernel is too old"

    monkeypatch.setattr(ChildProcess, "__init__", start_unconfined)
    with capture_logs() as lines, Decoder(OPTIONS, children=2) as decoder:
        decoder.decode(photo())
    assert [(line["log_level"], line["event"], line.get("reason")) for line in lines] == [
        ("warning", "decoder_unconfined", "the kernel is too old")
    ]


OUTPUTS = tuple(Preset(name, 200, 200, fit="contain", format=name) for name in ("jpeg", "webp", "avif", "png"))
MAKER, GPS = 0x010F, 0x8825
INPUTS = [
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "I;16", {}),
    ("PNG", "P", {}),
    ("GIF", "P", {"save_all": True}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True, "save_all": True}),
    ("BMP", "RGB", {}),
    *(
        ("TIFF", "RGB", {"compression": name})
        for name in ("jpeg", "tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd")
    ),
    ("TIFF", "1", {"compression": "group4"}),
    ("AVIF", "RGBA", {"speed": 10}),
    ("HEIF", "RGB", {"quality": 50}),
]


@pytest.fixture(scope="module")
def confined():
    """Yield a new decoder, so that no test depends on what a child has imported for another."""
    with Decoder(make_options(*OUTPUTS, keep_gps=True), children=1) as decoder:
        yield decoder


@pytest.mark.parametrize(("kind", "mode", "options"), INPUTS, ids=str)
def test_a_confined_child_returns_the_same_result_for_every_format(confined, kind, mode, options):
    image = Image.linear_gradient("L").resize((320, 240)).convert("RGB").convert(mode.replace("I;16", "I"))
    image = image.convert(mode)
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = 6, "Fairphone"
    exif.get_ifd(GPS).update({1: "N", 2: (51.0, 28.0, 40.2), 3: "W", 4: (0.0, 0.0, 5.4)})
    options |= {"append_images": [image.rotate(180)]} if options.get("save_all") else {}
    if mode in {"RGB", "RGBA"}:
        options |= {"icc_profile": rgb_profile(DISPLAY_P3)}
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **options)
    assert confined.decode(file.getvalue()).image == process_image(
        file.getvalue(), make_options(*OUTPUTS, keep_gps=True)
    )
