"""What the launcher raises when a person has to do something."""


class LaunchError(Exception):
    """The message says what to do and names the port, file or program; it is printed without a traceback."""
