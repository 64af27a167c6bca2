"""The dead letter queues of the shared stack, which tests count."""

from contextlib import closing

from devstack.stack import Stack
from tests.support.system import System

DEAD_LETTER_QUEUES = ("image_queue.dead", "status_tracker.dead", "unrouted")


class EmptyDeadLetterQueues:
    """A pytest plugin that empties them before the first test of each file that uses the stack.

    Files run in any order, and one that counts dead letters would fail for those that another left.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._file = None

    def pytest_runtest_setup(self, item):
        """Empty the queues if the last test with the stack was one of another file."""
        if "stack" not in item.fixturenames or item.path == self._file:
            return
        self._file = item.path
        if self._stack.is_running("rabbitmq"):
            with closing(System(self._stack)) as system:
                for queue in DEAD_LETTER_QUEUES:
                    system.drain(queue)
