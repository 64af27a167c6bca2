"""``python -m tests.support.fault_injection --crash-at after_decode -- thumbnailer``: see the package."""

import argparse
import sys

from tests.support.fault_injection.launch import add_options, apply_options, run_service, split_command


def main() -> None:
    """Install the patches and become the service."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fault_injection", description=__doc__)
    add_options(parser)
    own, command = split_command(sys.argv[1:])
    apply_options(parser.parse_args(own))
    run_service(command)


if __name__ == "__main__":
    main()
