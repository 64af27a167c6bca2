"""The launcher's exception."""


class LaunchError(Exception):
    """A failure that the user can fix. The message says how and is printed without a traceback."""
