"""Runs a service without some of its guards: ``python -m chaos.ablated_service hash -- thumbnailer``.

It replaces the functions that are the guards and then runs the service's own ``main``. If such a function no longer
exists, the process ends at once. It takes the options of ``tests.support.fault_injection`` too.
"""

import argparse
import sys

from chaos.ablations import GUARDS
from tests.support.fault_injection.launch import add_options, apply_options, run_service, split_command

SERVICES = ("thumbnailer", "status-tracker")


def main() -> None:
    """Remove the guards and become the service."""
    parser = argparse.ArgumentParser(prog="python -m chaos.ablated_service", description=__doc__)
    parser.add_argument("guards", nargs="*", metavar="GUARD", help=f"one of {', '.join(GUARDS)}")
    add_options(parser)
    own, command = split_command(sys.argv[1:])
    arguments = parser.parse_args(own)
    if unknown := set(arguments.guards) - GUARDS.keys():
        parser.error(f"no such guard: {', '.join(unknown)}")
    if not command or command[0].rpartition("/")[2] not in SERVICES:
        parser.error(f"name the service after --: {', '.join(SERVICES)}")
    for name in arguments.guards:
        for patch in GUARDS[name].patches:
            patch.apply()
    apply_options(arguments)
    run_service(command)


if __name__ == "__main__":
    main()
