"""The thumbnailer's settings, in addition to the groups that all services share."""

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainValidator
from pydantic_settings import NoDecode

from thumbmill.core.settings import ConsumerSettings, ServiceSettings, StoreSettings
from thumbmill.thumbnailer.imaging.model import Limits, ProcessingOptions
from thumbmill.thumbnailer.presets.file import load_presets
from thumbmill.thumbnailer.presets.model import PresetSet
from thumbmill.thumbnailer.sandbox.pool import WAITING_SLOW_IMAGES


def count_cores() -> int:
    """Count the processors that this process may run on."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class PresetsFile:
    """A file of presets and its content, read once: the presets in use are those that were validated."""

    name: str
    presets: PresetSet

    def __str__(self) -> str:
        return self.name


def _read_presets(path: str) -> PresetsFile:
    return PresetsFile(path, load_presets(Path(path)))


# ServiceSettings comes last: pydantic takes the configuration of the last base.
class Settings(StoreSettings, ConsumerSettings, ServiceSettings):
    """Environment variables of ``thumbnailer``."""

    health_port: int = Field(8001, ge=1, le=65535, description="Port for probes and metrics")
    thumbnailer_decoders: int = Field(
        default_factory=count_cores,
        ge=1,
        le=256,
        description="Child processes that decode; default: one for each core",
    )
    thumbnailer_prefetch: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Images in progress at once, so that transfers overlap decoding; default: twice the decoders, "
        "and one for every slow image in progress",
    )
    thumbnailer_slow_decoders: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Additional child processes for slow and large images; default: one for two decoders",
    )
    max_upload_bytes: int = Field(50 * 1024 * 1024, ge=1, description="Largest original that is read")
    max_pixels: int = Field(
        1_000_000_000,
        ge=1,
        description="Largest image that is decoded, width times height, if memory and time allow it",
    )
    max_jpeg_scans: int = Field(
        100,
        ge=10,
        description="Maximum scans of a progressive JPEG; usual ones have about ten, and each costs time",
    )
    decode_timeout_seconds: float = Field(
        30, gt=0, description="CPU time for one image; one that is expected to take half of it is rejected"
    )
    decode_silence_seconds: float = Field(
        30, ge=1, description="How long a decoder may use no CPU time before the image is tried again"
    )
    decode_memory_bytes: int = Field(
        2 * 1024**3,
        ge=256 * 1024**2,
        description="Address space for one slow image at a time; all others may have half of it",
    )
    decoder_retirement: int = Field(1000, ge=1, description="Images after which a decoding child is replaced")
    max_frames: int = Field(1000, ge=1, description="Maximum frames of an animation, or pages of a TIFF")
    max_animation_pixels: int = Field(
        100_000_000,
        ge=1,
        description="Maximum pixels of all frames together of an animation whose variant is animated",
    )
    presets_file: Annotated[PresetsFile, NoDecode, PlainValidator(_read_presets)] = Field(
        default_factory=lambda: _read_presets(str(files("thumbmill.thumbnailer.presets") / "default.yaml")),
        validate_default=False,
        description="YAML file that defines every image's variants; default: thumbnails of 256, 640, 1600 pixels",
    )
    heartbeat_interval_seconds: float = Field(
        10, gt=0, description="How often this process publishes that it is running"
    )
    expose_gps: bool = Field(default=False, description="Publish where a photo was taken, if the file contains it")
    accept_damaged: bool = Field(
        default=False,
        description="Make variants of the readable part of a damaged file, marked `damaged`, instead of FAILED",
    )

    @property
    def prefetch(self) -> int:
        return self.thumbnailer_prefetch or 2 * self.thumbnailer_decoders + self.slow_decoders + WAITING_SLOW_IMAGES

    @property
    def slow_decoders(self) -> int:
        return self.thumbnailer_slow_decoders or max(1, self.thumbnailer_decoders // 2)

    @property
    def limits(self) -> Limits:
        return Limits(
            file_bytes=self.max_upload_bytes,
            pixels=self.max_pixels,
            memory_bytes=self.decode_memory_bytes,
            seconds=self.decode_timeout_seconds,
            stall_seconds=self.decode_silence_seconds,
            jpeg_scans=self.max_jpeg_scans,
            frames=self.max_frames,
            animation_pixels=self.max_animation_pixels,
        )

    @property
    def presets(self) -> PresetSet:
        return self.presets_file.presets

    @property
    def processing_options(self) -> ProcessingOptions:
        """The options of every decoder."""
        return ProcessingOptions(
            limits=self.limits,
            presets=self.presets.presets,
            keep_gps=self.expose_gps,
            keep_damaged=self.accept_damaged,
        )
