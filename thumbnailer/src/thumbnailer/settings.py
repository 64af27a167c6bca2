"""The thumbnailer's settings, put together from the groups that all services share."""

import os
from typing import Literal

from pydantic import Field

from pipeline.settings import ConsumerSettings, ServiceSettings, StoreSettings
from thumbnailer import presets
from thumbnailer.pictures import Limits, Recipe


def count_cores() -> int:
    """Count the processors that this process may run on."""
    return len(os.sched_getaffinity(0))


# ServiceSettings comes last: pydantic takes the configuration of the last base.
class Settings(StoreSettings, ConsumerSettings, ServiceSettings):
    """Environment variables of ``thumbnailer``."""

    health_port: int = Field(8001, ge=1, le=65535, description="Port for probes and metrics")
    thumbnailer_decoders: int = Field(
        default_factory=count_cores, ge=1, le=256, description="Child processes that decode; default: one a core"
    )
    thumbnailer_prefetch: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Images in hand at once, so that transfers overlap decoding; default: twice the decoders",
    )
    max_upload_bytes: int = Field(50 * 1024 * 1024, ge=1, description="Largest original that is read")
    max_pixels: int = Field(50_000_000, ge=1, description="Largest picture that is decoded, width times height")
    max_jpeg_scans: int = Field(
        100, ge=10, description="Most scans of a progressive JPEG; usual ones have about ten, and each costs time"
    )
    decode_timeout_seconds: float = Field(10, gt=0, description="CPU and wall-clock time for one picture")
    decode_memory_bytes: int = Field(
        1024**3, ge=256 * 1024**2, description="Address space of a decoding child process"
    )
    decoder_faults: Literal["on", "off"] = Field("off", description="Tests only: pictures may ask to crash a child")

    @property
    def prefetch(self) -> int:
        return self.thumbnailer_prefetch or 2 * self.thumbnailer_decoders

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.limits, presets.DEFAULT.presets)

    @property
    def limits(self) -> Limits:
        return Limits(
            file_bytes=self.max_upload_bytes,
            pixels=self.max_pixels,
            memory_bytes=self.decode_memory_bytes,
            seconds=self.decode_timeout_seconds,
            jpeg_scans=self.max_jpeg_scans,
            faults=self.decoder_faults == "on",
        )
