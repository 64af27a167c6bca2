"""Decoders that fail when an image asks them to."""

from pathlib import Path

from tests.support.fault_injection.patch import Patch

_WORKER = Path(__file__).with_name("faulty_worker.py")


def faulty_decoder() -> Patch:
    """Return the patch with which a thumbnailer starts the faulty worker as its decoder processes."""
    return Patch("thumbmill.thumbnailer.sandbox.process:WORKER", lambda _: (str(_WORKER),))
