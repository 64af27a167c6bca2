"""The launcher's stack for tests: on free ports, with data of its own, independent of a running `make up`."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.account import remove_data
from devstack.installation import CHECKOUT
from devstack.ports import free_ports
from devstack.stack import Stack


@contextmanager
def run_stack(
    *, backing_only: bool = False, prepare: Callable[[Stack], None] = lambda _: None, **environment: str
) -> Iterator[Stack]:
    """Yield a running system, with settings for its services, and remove all of it afterwards.

    To see a server's log, print ``stack.log_tail(name)``.
    """
    parent = CHECKOUT / ".local" / "tests"
    parent.mkdir(parents=True, exist_ok=True)
    parent.chmod(0o755)
    directory = Path(tempfile.mkdtemp(prefix="stack-", dir=parent))
    directory.chmod(0o755)  # the servers' account has to pass
    stack = Stack(directory, free_ports(), environment)
    prepare(stack)
    try:
        stack.up(backing_only=backing_only)
        yield stack
    finally:
        stack.close()
        remove_data(directory)
