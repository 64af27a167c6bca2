"""The child of a decoder: takes pictures from a socket on stdin, answers with variants, ends when stdin closes.

It starts with nothing of our environment, so it has no credentials. Started by ``child_process``.
"""

import base64
import ctypes
import os
import select
import signal
import socket
import sys
import traceback
from dataclasses import asdict
from typing import Any

from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.model import ProcessingOptions, SlowImageError, UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.sandbox import framing
from thumbmill.thumbnailer.sandbox.limits import (
    allow_cpu,
    count_threads_apart,
    leave_user,
    limit_resources,
    limit_system_calls,
)

IDLE_MILLISECONDS = 1000

# Pictures of one pixel; the PNG's is transparent.
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeF"
    "xlZ2P/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AC//Z"
)
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)


def main() -> None:
    """Serve until the parent hangs up."""
    recipe = ProcessingOptions.from_json(sys.argv[1])
    limits = recipe.limits
    for signal_of_the_end in (signal.SIGINT, signal.SIGTERM):  # a terminal or systemd sends them to us too,
        signal.signal(signal_of_the_end, signal.SIG_IGN)  # but the parent wants to finish what it has in hand
    with socket.socket(fileno=sys.stdin.fileno()) as channel:
        try:
            counted_apart = count_threads_apart()
            limit_resources(limits.memory_bytes)
            make_samples(recipe)  # Pillow imports some of its modules when they are needed, which will be too late
            os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # /dev/null: some libraries talk of every odd picture
            still_root = leave_user(counted_apart=counted_apart)
            unconfined = limit_system_calls()
            make_samples(recipe)
        except Exception:  # noqa: BLE001 - it may not write to stderr any more
            framing.send(channel, {"broken": traceback.format_exc()})
            return
        framing.send(channel, {"ready": True, "unconfined": unconfined, "still_root": still_root})
        try:
            while True:
                wait_for_picture(channel)
                request, (data,) = framing.receive(channel, limits.file_bytes)
                slow = bool(request["slow"])
                allow_cpu(limits.seconds if slow else limits.ordinary_seconds)
                header, parts = answer(data, recipe, slow=slow)
                del data
                framing.send(channel, header, *parts)
        except (framing.HungUpError, ConnectionError):
            return


def wait_for_picture(channel: socket.socket) -> None:
    """Wait, and after a second without work give the memory back that large pictures took.

    Some 50 MB, in 4 ms; giving it back after every picture would cost a twentieth of all CPU. Only glibc can.
    """
    arrived = select.poll()
    arrived.register(channel, select.POLLIN)
    if not arrived.poll(IDLE_MILLISECONDS) and (give_back := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        give_back(0)


def make_samples(recipe: ProcessingOptions) -> None:
    """Prove that this installation decodes, so that whatever fails from here on is a picture's own fault."""
    for sample in (_JPEG, _PNG):
        process_image(sample, recipe)
    if not jpeg_dc_only.decode(_JPEG, bytearray(1)):  # of one pixel too is an eighth one
        raise RuntimeError("dc_only.c was built, but does not decode")


def answer(data: bytes, recipe: ProcessingOptions, *, slow: bool) -> tuple[framing.Header, list[bytes]]:
    """Decode one picture; whatever goes wrong is an answer too."""
    try:
        picture = process_image(data, recipe, slow=slow)
    except UndecodableImageError as fault:
        return {"bad": fault.code.value, "detail": fault.detail, "cause": fault.cause}, []
    except SlowImageError as fault:
        return {"slow": asdict(fault.cost)}, []
    except MemoryError:
        return {"out_of_memory": True}, []
    except Exception:  # noqa: BLE001 - it is not known to be the picture's fault, so the parent tries it again
        return {"fault": traceback.format_exc(limit=-3)}, []
    return {"picture": asdict(picture, dict_factory=_without_bytes)}, [r.data for r in picture.variants]


def _without_bytes(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if not isinstance(value, bytes)}


if __name__ == "__main__":
    main()
