"""The program of a decoder's child: receives images on stdin, a socket, and sends variants back.

It ends when stdin is closed. ``sandbox.process`` starts it with a fixed environment, so it has no credentials.
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
    drop_user,
    enter_user_namespace,
    extend_cpu_limit,
    install_seccomp_filter,
    limit_resources,
)

IDLE_MILLISECONDS = 1000

# Images of one pixel; the PNG's is transparent.
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeF"
    "xlZ2P/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AC//Z"
)
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)


def main() -> None:
    """Serve until the parent closes the channel."""
    options = ProcessingOptions.from_json(sys.argv[1])
    limits = options.limits
    for stop_signal in (signal.SIGINT, signal.SIGTERM):  # a terminal or systemd sends them to the child too,
        signal.signal(stop_signal, signal.SIG_IGN)  # but the parent finishes its messages first
    with socket.socket(fileno=sys.stdin.fileno()) as channel:
        try:
            in_user_namespace = enter_user_namespace()
            limit_resources(limits.memory_bytes)
            run_self_test(options)  # before the filter, since Pillow imports some modules at their first use
            # stdout is /dev/null: some libraries print warnings about images.
            os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
            still_root = drop_user(in_user_namespace=in_user_namespace)
            unconfined = install_seccomp_filter()
            run_self_test(options)
        except Exception:  # noqa: BLE001 - stderr is closed by now
            framing.send(channel, {"failed_start": traceback.format_exc()})
            return
        framing.send(channel, {"ready": True, "unconfined": unconfined, "still_root": still_root})
        try:
            while True:
                wait_for_request(channel)
                request, (data,) = framing.receive(channel, limits.file_bytes)
                slow = bool(request["slow"])
                extend_cpu_limit(limits.seconds if slow else limits.ordinary_seconds)
                header, parts = respond(data, options, slow=slow)
                del data
                framing.send(channel, header, *parts)
        except (framing.ConnectionClosedError, ConnectionError):
            return


def wait_for_request(channel: socket.socket) -> None:
    """Wait for a request, and after an idle second return the memory that large images took to the system.

    That is some 50 MB, in 4 ms; after every image it would cost a twentieth of all CPU. Only glibc can do it.
    """
    arrived = select.poll()
    arrived.register(channel, select.POLLIN)
    if not arrived.poll(IDLE_MILLISECONDS) and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        malloc_trim(0)


def run_self_test(options: ProcessingOptions) -> None:
    """Decode two samples, so that a later failure is due to an image and not to the installation."""
    for sample in (_JPEG, _PNG):
        process_image(sample, options)
    if not jpeg_dc_only.decode(_JPEG, bytearray(1)):  # an eighth of one pixel is one pixel
        raise RuntimeError("dc_only.c was built, but does not decode")


def respond(data: bytes, options: ProcessingOptions, *, slow: bool) -> tuple[framing.Header, list[bytes]]:
    """Decode one image and return the response; an error is a response too."""
    try:
        image = process_image(data, options, slow=slow)
    except UndecodableImageError as error:
        return {"rejected": error.code.value, "detail": error.detail, "cause": error.cause}, []
    except SlowImageError as error:
        return {"slow": asdict(error.cost)}, []
    except MemoryError:
        return {"out_of_memory": True}, []
    except Exception:  # noqa: BLE001 - the image need not be the cause, so the parent tries once more
        return {"error": traceback.format_exc(limit=-3)}, []
    return {"image": asdict(image, dict_factory=_without_bytes)}, [variant.data for variant in image.variants]


def _without_bytes(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if not isinstance(value, bytes)}


if __name__ == "__main__":
    main()
