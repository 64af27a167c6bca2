"""What the service is put together from: imports, settings, start."""

import subprocess
import sys

import pytest

from pipeline.settings import SettingsError, load
from thumbnailer.settings import Settings, count_cores

REQUIRED = {"MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b", "RABBITMQ_USER": "c", "RABBITMQ_PASSWORD": "d"}


def imported_by(module):
    program = f"import sys, {module}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in answer.stdout.split()}


def test_a_child_imports_pillow_and_nothing_that_talks():
    assert not imported_by("thumbnailer.child_main") & {
        "pydantic",
        "structlog",
        "pika",
        "minio",
        "urllib3",
        "prometheus_client",
    }


def test_the_consumer_never_imports_pillow():
    assert not imported_by("thumbnailer.__main__") & {"PIL", "pillow_heif"}


@pytest.fixture
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_there_are_twice_as_many_images_in_hand_as_decoders(environment):
    assert load(Settings).thumbnailer_decoders == count_cores()
    environment.setenv("THUMBNAILER_DECODERS", "3")
    environment.setenv("THUMBNAILER_PREFETCH", "")  # as a compose file passes on what is not set
    assert load(Settings).prefetch == 6
    environment.setenv("THUMBNAILER_PREFETCH", "4")
    assert load(Settings).prefetch == 4


def test_a_child_s_limits_follow_the_settings(environment):
    environment.setenv("MAX_PIXELS", "1000")
    environment.setenv("DECODE_TIMEOUT_SECONDS", "2.5")
    limits = load(Settings).limits
    assert (limits.pixels, limits.seconds, limits.memory_bytes, limits.faults) == (1000, 2.5, 2**30, False)
    assert limits.jpeg_scans == 100
    environment.setenv("DECODER_FAULTS", "on")
    assert load(Settings).limits.faults is True


@pytest.mark.parametrize(
    ("name", "value"), [("DECODER_FAULTS", "yes"), ("DECODE_MEMORY_BYTES", "5"), ("HEALTH_PORT", "0")]
)
def test_a_wrong_value_is_told_by_name(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(Settings)
