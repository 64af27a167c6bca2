"""The service's imports and settings."""

import subprocess
import sys

import pytest

from thumbmill.core.settings import SettingsError, load, load_or_exit, masked
from thumbmill.thumbnailer.presets.model import Preset
from thumbmill.thumbnailer.settings import Settings, count_cores

REQUIRED = {"MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b", "RABBITMQ_USER": "c", "RABBITMQ_PASSWORD": "d"}


def imported_by(module):
    program = f"import sys, {module}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in answer.stdout.split()}


def test_a_child_imports_pillow_and_no_clients():
    assert not imported_by("thumbmill.thumbnailer.sandbox.worker") & {
        "pydantic",
        "structlog",
        "pika",
        "minio",
        "urllib3",
        "prometheus_client",
    }


def test_the_consumer_never_imports_pillow():
    assert not imported_by("thumbmill.thumbnailer.__main__") & {"PIL", "pillow_heif"}


@pytest.fixture
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_twice_as_many_images_are_in_progress_as_there_are_decoders(environment):
    assert load(Settings).thumbnailer_decoders == count_cores()
    environment.setenv("THUMBNAILER_DECODERS", "3")
    environment.setenv("THUMBNAILER_PREFETCH", "")  # as a compose file passes variables that are not set
    assert load(Settings).prefetch == 6 + 1 + 1, "and the slow images in progress"
    environment.setenv("THUMBNAILER_PREFETCH", "4")
    assert load(Settings).prefetch == 4


@pytest.mark.parametrize(
    ("decoders", "slow", "expected"), [("1", "", 1), ("3", "", 1), ("8", "", 4), ("8", "2", 2)]
)
def test_slow_images_have_their_own_decoders(environment, decoders, slow, expected):
    environment.setenv("THUMBNAILER_DECODERS", decoders)
    environment.setenv("THUMBNAILER_SLOW_DECODERS", slow)
    assert load(Settings).slow_decoders == expected


def test_a_child_s_limits_follow_the_settings(environment):
    environment.setenv("MAX_PIXELS", "1000")
    environment.setenv("DECODE_TIMEOUT_SECONDS", "2.5")
    limits = load(Settings).limits
    assert (limits.pixels, limits.seconds, limits.memory_bytes) == (1000, 2.5, 2**31)
    assert (limits.jpeg_scans, limits.stall_seconds) == (100, 30)


def test_the_processing_options_follow_the_settings(environment, tmp_path):
    options = load(Settings).processing_options
    assert [preset.name for preset in options.presets] == ["thumbnail", "small", "large"]
    assert (options.limits, options.keep_gps, options.keep_damaged) == (load(Settings).limits, False, False)
    assert (options.limits.frames, options.limits.animation_pixels) == (1000, 100_000_000)
    path = tmp_path / "own.yaml"
    path.write_text("version: 7\npresets: [{name: tiny, width: 16}]")
    settings = {"PRESETS_FILE": str(path), "EXPOSE_GPS": "true", "ACCEPT_DAMAGED": "1"}
    for name, value in (settings | {"MAX_FRAMES": "5", "MAX_ANIMATION_PIXELS": "6"}).items():
        environment.setenv(name, value)
    changed = load(Settings)
    assert changed.processing_options.presets == (Preset("tiny", width=16),)
    assert (changed.processing_options.keep_gps, changed.processing_options.keep_damaged) == (True, True)
    assert (changed.limits.frames, changed.limits.animation_pixels) == (5, 6)
    assert changed.presets.key_version.startswith("7.")
    assert masked(changed)["PRESETS_FILE"] == str(path)


def test_errors_in_a_presets_file_are_reported_like_those_of_settings(environment, tmp_path, capsys):
    path = tmp_path / "own.yaml"
    path.write_text("version: 7\npresets:\n- name: tiny\n  width: 0\n  quality: 0")
    environment.setenv("PRESETS_FILE", str(path))
    with pytest.raises(SystemExit) as ended:
        load_or_exit(Settings)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        f"settings: PRESETS_FILE: {path}:4: presets[0].width: must be 1 to 16383, is 0",
        f"settings: {path}:5: presets[0].quality: must be 1 to 100, is 0",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRESETS_FILE", "/no/such/file"),
        ("DECODE_MEMORY_BYTES", "5"),
        ("HEALTH_PORT", "0"),
    ],
)
def test_an_invalid_value_is_reported_by_name(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(Settings)
