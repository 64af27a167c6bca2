"""Runs one of our services without some of its guards: ``python -m chaos.ablated_service hash -- thumbnailer``.

It replaces the functions that are the guards and then runs the service's own ``main``; a function that is not there
any more ends it at once. ``--freeze-at POINT`` has the process stop itself, as by SIGSTOP, when it first comes by a
crash point of the thumbnailer's.
"""

import argparse
import importlib
import signal
import sys
import threading
from collections.abc import Callable

from chaos.ablations import GUARDS, Seam

MAINS = {"thumbnailer": "thumbmill.thumbnailer.__main__", "status-tracker": "thumbmill.tracker.__main__"}


def main() -> None:
    """Take the guards out and become the service."""
    parser = argparse.ArgumentParser(prog="python -m chaos.ablated_service", description=__doc__)
    parser.add_argument("guards", nargs="*", metavar="GUARD", help=f"one of {', '.join(GUARDS)}")
    parser.add_argument("--freeze-at", metavar="POINT", help="stand still at this crash point, once")
    own, _, service = _split(sys.argv[1:])
    arguments = parser.parse_args(own)
    if unknown := set(arguments.guards) - GUARDS.keys():
        parser.error(f"no such guard: {', '.join(unknown)}")
    if not service or service[0] not in MAINS:
        parser.error(f"say which service after --: {', '.join(MAINS)}")
    for name in arguments.guards:
        for seam in GUARDS[name].seams:
            seam.replace()
    if arguments.freeze_at:
        freeze_seam(arguments.freeze_at).replace()
    sys.argv = service
    importlib.import_module(MAINS[service[0]]).main()


def freeze_seam(point: str) -> Seam:
    """Give the seam at which a thumbnailer stands still; it goes on by SIGCONT, and never stands still again."""

    def make(crash_at: Callable[[str], None]) -> Callable[[str], None]:
        left = [point]

        def freeze_at(here: str) -> None:
            if here in left:
                left.remove(here)
                # Sent to the process, it would be another thread's to take, and this one would go on for a moment.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            crash_at(here)

        return freeze_at

    return Seam("thumbmill.thumbnailer.handler:crash_at", make)


def _split(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at : at + 1], words[at + 1 :]


if __name__ == "__main__":
    main()
