"""The launcher's terminal output: its own lines and those of all processes, each with a prefix."""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

_COLOURS = (36, 33, 35, 32, 34, 31, 96)
_WIDTH = 14
_POLL_SECONDS = 0.1


def log(text: str) -> None:
    """Print a line of the launcher itself."""
    _print("thumbmill", text, "1")


def follow_logs(logs: Mapping[str, Path], stopping: threading.Event) -> threading.Thread:
    """Print each line that is appended to the logs, prefixed with its process's name, until `stopping` is set."""
    files = {}
    for name, path in logs.items():
        path.touch()
        files[name] = path.open("rb")
        files[name].seek(0, 2)
    thread = threading.Thread(target=_follow, args=(files, stopping), name="logs", daemon=True)
    thread.start()
    return thread


def _follow(files: Mapping[str, BinaryIO], stopping: threading.Event) -> None:
    unfinished = dict.fromkeys(files, b"")
    last_round = False
    while not last_round:
        last_round = stopping.wait(_POLL_SECONDS)  # read once more after it is set, for the last lines
        for index, (name, file) in enumerate(files.items()):
            *lines, unfinished[name] = (unfinished[name] + file.read()).split(b"\n")
            for line in lines:
                _print(name, line.decode(errors="replace"), str(_COLOURS[index % len(_COLOURS)]))
    for file in files.values():
        file.close()


def printable(text: str) -> str:
    """Return a text with control characters escaped: file names are untrusted input.

    `thumbmill.core.text` does the same for the services; devstack runs before their packages are installed.
    """
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def _print(name: str, text: str, colour: str) -> None:
    prefix = f"{name:<{_WIDTH}} |"
    if sys.stdout.isatty():
        prefix = f"\033[{colour}m{prefix}\033[0m"
    print(prefix, printable(text), flush=True)
