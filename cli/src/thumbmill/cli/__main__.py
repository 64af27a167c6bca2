"""``thumbmill``: what people do to a running system."""

from typing import Annotated

import typer

from thumbmill.cli.dead_letters import commands
from thumbmill.cli.drill.command import drill
from thumbmill.cli.reconcile import reconcile
from thumbmill.cli.retry import retry
from thumbmill.core.build_info import get_version

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Settings: README.md. Exit codes, unless a command tells others: 0 done, 1 a server is away or refuses, "
    "2 wrong use, 3 nothing found, 130 interrupted.",
)
app.add_typer(commands.app, name="dead")
app.command()(drill)
app.command()(reconcile)
app.command()(retry)


def print_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer passes the flag by position
    """Print the version and exit, if the flag is given."""
    if is_wanted:
        typer.echo(get_version())
        raise typer.Exit


@app.callback()
def read_options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Look after a running Thumbmill."""


def main() -> None:
    """Run the command and exit."""
    app(prog_name="thumbmill")


if __name__ == "__main__":
    main()
