"""What every command says, where, and how it ends."""

from typing import NoReturn

import typer
from rich.console import Console

from thumbmill.core.text import escape_unprintable

UNAVAILABLE, WRONG_USE, NOTHING_FOUND, INTERRUPTED = 1, 2, 3, 130  # exit codes
PIPED_WIDTH = 2000  # columns where there is no terminal to ask; a table takes what it needs


def open_console(*, stderr: bool = False) -> Console:
    """Give a console as wide as the terminal, or as wide as it takes where there is none."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PIPED_WIDTH)


def print_status(text: str) -> None:
    """Say something to a person, which is not what was asked for."""
    open_console(stderr=True).print(escape_unprintable(text), markup=False, soft_wrap=True)


def exit_with(text: str, code: int) -> NoReturn:
    """End the program with a sentence and an exit code."""
    print_status(text)
    raise typer.Exit(code)
