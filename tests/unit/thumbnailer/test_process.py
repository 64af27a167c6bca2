"""The decoder's children: their start, environment, limits and end."""

import io
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from devstack.installation import CHECKOUT
from tests.support.images import faulty_photo, photo
from tests.support.waiting import wait_until
from tests.unit.thumbnailer.children import children, has_ended, read_limit, read_status, started_since, total
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.metrics import DECODER_DEATHS, RETIREMENTS
from thumbmill.thumbnailer.sandbox import process
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import ENVIRONMENT, DecoderUnavailableError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("faulty_decoders")]
OPTIONS = make_options(file_bytes=2**20, pixels=10**7, memory_bytes=2**29)


def test_an_idle_child_returns_the_memory_of_large_images():
    earlier = children()
    file = io.BytesIO()
    Image.radial_gradient("L").resize((2400, 2400)).convert("RGB").save(file, "JPEG", progressive=True)
    with Decoder(OPTIONS, children=1) as running:
        child, _ = started_since(earlier)
        for _ in range(3):  # the allocator returns the first one at once, and keeps room for more of its size
            running.decode(file.getvalue())
        peak = read_status(child, "VmHWM")
        wait_until(lambda: read_status(child, "VmRSS") < peak - 10 * 2**20, 10, "some memory to be given back")
        assert running.decode(photo()).image.width == 640


def test_a_child_is_replaced_by_the_spare_after_its_share_of_images():
    earlier, retired = children(), total(RETIREMENTS)
    with Decoder(OPTIONS, children=1, retirement=3) as running:
        first, spare = started_since(earlier)
        for seed in range(3):
            assert running.decode(photo(seed=seed)).image.width == 640
        assert first.is_running()
        assert total(RETIREMENTS) == retired
        assert running.decode(photo()).image.width == 640
        assert total(RETIREMENTS) == retired + 1
        wait_until(lambda: has_ended(first), 10, "the end of the first")
        assert started_since(earlier)[0] == spare, "another spare has been started since"
        assert read_limit(spare, "Max cpu time") > 0, "set with its first image"
        before = total(DECODER_DEATHS)
        for seed in range(10):
            assert running.decode(photo(seed=seed)).image.width == 640
        assert (total(RETIREMENTS), total(DECODER_DEATHS)) == (retired + 4, before)


@pytest.fixture
def lone_child():
    earlier = children()
    with Decoder(OPTIONS, children=1) as running:
        yield running, started_since(earlier)[0]


def test_a_child_has_no_secrets_and_no_files(lone_child, monkeypatch):
    _, child = lone_child
    assert child.environ() == ENVIRONMENT  # and no other variable
    assert all(name.startswith(("GLIBC_", "MALLOC_", "OPENBLAS_")) for name in ENVIRONMENT)
    targets = [str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()]
    (channel,) = (target for target in targets if target.startswith("socket:"))
    assert set(targets) == {channel, "/dev/null"}
    status = Path(f"/proc/{child.pid}/limits").read_text()
    limits = {line[:26].strip(): line[26:].split()[0] for line in status.splitlines()[1:]}
    assert limits["Max address space"] == str(OPTIONS.limits.memory_bytes)
    assert limits["Max core file size"] == limits["Max file size"] == "0"
    assert int(limits["Max open files"]) < 100


def test_a_child_s_cpu_time_is_limited_for_each_image(lone_child):
    decoder, child = lone_child
    decoder.decode(photo())
    soft = read_limit(child, "Max cpu time")
    assert OPTIONS.limits.ordinary_seconds <= soft <= OPTIONS.limits.ordinary_seconds + 2


def test_children_ignore_the_signals_that_stop_the_parent(lone_child):
    decoder, child = lone_child
    for number in (signal.SIGINT, signal.SIGTERM):
        child.send_signal(number)
    assert decoder.decode(photo()).image.width == 640
    assert child.is_running()


def test_children_end_with_the_decoder():
    earlier = children()
    with Decoder(OPTIONS, children=2):
        started = started_since(earlier, 3)
    assert not any(process.is_running() for process in started)


def test_an_installation_that_cannot_decode_fails_at_start():
    with (
        pytest.raises(DecoderUnavailableError, match=r"(?s)fails its self-test.*more than 100"),
        Decoder(make_options(memory_bytes=100 * 2**20), children=1),
    ):
        pass


def test_a_decoder_that_cannot_start_names_the_command_to_try(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(DecoderUnavailableError, match=r"/bin/false.*worker"),
        Decoder(OPTIONS, children=1),
    ):
        pass


def program(path, *lines):
    path.write_text("\n".join(("#!/bin/sh", *lines, f'exec {shlex.quote(sys.executable)} "$@"', "")))
    path.chmod(0o755)
    return str(path)


def test_a_slow_start_is_accepted_while_it_computes(monkeypatch, tmp_path):
    slow = program(tmp_path / "python", "i=0", "while [ $i -lt 1000000 ]; do i=$((i + 1)); done")
    monkeypatch.setattr(process, "START_STALL_SECONDS", 0.5)
    monkeypatch.setattr(sys, "executable", slow)
    with Decoder(OPTIONS, children=1) as running:
        assert running.decode(photo()).image.width == 640


def test_a_stalled_start_fails(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "START_STALL_SECONDS", 1)
    monkeypatch.setattr(sys, "executable", program(tmp_path / "python", "exec sleep 1000"))
    with pytest.raises(DecoderUnavailableError, match="no CPU time for 1 s"), Decoder(OPTIONS, children=1):
        pass


@pytest.mark.parametrize("error", [ValueError, RecursionError])
def test_a_child_with_an_invalid_response_is_replaced(monkeypatch, error):
    """After any error, since the next response on that socket could belong to another image."""
    earlier, before = children(), total(DECODER_DEATHS)

    def fail(*_):
        raise error("for the test")

    with Decoder(OPTIONS, children=1) as running:
        started = started_since(earlier)
        with monkeypatch.context() as broken:
            broken.setattr(process, "parse_response", fail)
            rejected = running.decode(photo())
        assert rejected.code is ErrorCode.DECODER_CRASHED
        assert total(DECODER_DEATHS) == before + 2
        wait_until(lambda: all(map(has_ended, started)), 30, "both children to end")
        assert running.decode(photo(700, 500)).image.width == 700


def test_a_child_dies_with_its_parent(tmp_path):
    program = (
        "import os, sys\n"
        "from tests.support.fault_injection.decoder import faulty_decoder\n"
        "from thumbmill.thumbnailer.sandbox.pool import Decoder\n"
        "from thumbmill.thumbnailer.imaging.model import Limits, ProcessingOptions as Recipe\n"
        "from thumbmill.thumbnailer.presets.model import Preset\n"
        "recipe = Recipe(Limits(2**20, 10**7, 2**29, seconds=60), (Preset('small', 64),))\n"
        "faulty_decoder().apply()\n"
        "with Decoder(recipe, 1) as decoder:\n"
        "    print('ready', flush=True)\n"
        "    decoder.decode(sys.stdin.buffer.read())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert b"ready\n" in iter(parent.stdout.readline, b"")
        parent.stdin.write(faulty_photo("hang"))
        parent.stdin.close()
        pair = wait_until(
            lambda: len(now := psutil.Process(parent.pid).children()) == 2 and now, 10, "the children"
        )
        wait_until(lambda: all(child.status() == psutil.STATUS_SLEEPING for child in pair), 10, "them at rest")
        parent.kill()
    wait_until(lambda: all(map(has_ended, pair)), 10, "the children's death")
