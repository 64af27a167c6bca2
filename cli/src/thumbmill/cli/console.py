"""Output and exit codes of all commands."""

from typing import NoReturn

import typer
from rich.console import Console

from thumbmill.core.text import escape_unprintable

UNAVAILABLE, WRONG_USE, NOTHING_FOUND, INTERRUPTED = 1, 2, 3, 130  # exit codes
PIPED_WIDTH = 2000  # columns if the output is not a terminal; a table uses only what it needs


def open_console(*, stderr: bool = False) -> Console:
    """Return a console with the width of the terminal, or wide enough for any table if there is none."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PIPED_WIDTH)


def print_status(text: str) -> None:
    """Print a message for a person to stderr, apart from the command's output."""
    open_console(stderr=True).print(escape_unprintable(text), markup=False, soft_wrap=True)


def exit_with(text: str, code: int) -> NoReturn:
    """Print a message and exit."""
    print_status(text)
    raise typer.Exit(code)
