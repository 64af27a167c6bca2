"""Commands that start a service with injected faults, and the program that they run."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from devstack.installation import CHECKOUT
from devstack.stack import Stack
from tests.support.fault_injection.crash_points import CRASH_POINTS, crash_at, freeze_at
from tests.support.fault_injection.decoder import faulty_decoder

SEPARATOR = "--"  # between the launcher's own arguments and the service's command


def inject(command: Sequence[str], *options: str, module: str = "tests.support.fault_injection") -> list[str]:
    """Return the command that starts a service with these options of a launcher instead of any earlier ones."""
    environment = ["env", f"PYTHONPATH={CHECKOUT}"]
    return [*environment, sys.executable, "-m", module, *options, SEPARATOR, *service_of(command)]


def crashing(stack: Stack, name: str, point: str) -> list[str]:
    """Return the command with which a stack's service dies at a crash point."""
    return inject(stack.table[name].command, "--crash-at", point)


def unharmed(stack: Stack, name: str) -> list[str]:
    """Return the command of a stack's service without any injected fault."""
    return service_of(stack.table[name].command)


def service_of(command: Sequence[str]) -> list[str]:
    """Return the service's own command inside one of ``inject``; any other command is returned as it is."""
    at = command.index(SEPARATOR) + 1 if SEPARATOR in command else 0
    return list(command[at:])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for faults to a launcher's."""
    parser.add_argument("--crash-at", metavar="POINT", choices=list(CRASH_POINTS), help="die here, as by kill -9")
    parser.add_argument("--freeze-at", metavar="POINT", choices=list(CRASH_POINTS), help="freeze here, once")
    parser.add_argument("--faulty-decoder", action="store_true", help="decoders fail when an image asks for it")


def apply_options(arguments: argparse.Namespace) -> None:
    """Install the patches that the options name."""
    if arguments.faulty_decoder:
        faulty_decoder().apply()
    if arguments.crash_at:
        crash_at(arguments.crash_at).apply()
    if arguments.freeze_at:  # last: a process that freezes and crashes at one point freezes first
        freeze_at(arguments.freeze_at).apply()


def split_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split a command line into the launcher's own arguments and the service's command."""
    at = arguments.index(SEPARATOR) if SEPARATOR in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def run_service(command: list[str]) -> None:
    """Become the service: run the console entry point that has the command's name."""
    name = command[0].rpartition("/")[2]
    [entry] = entry_points(group="console_scripts", name=name)
    sys.argv = command
    sys.exit(entry.load()())
