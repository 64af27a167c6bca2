"""``thumbmill``: the operator's command line."""

from typing import Annotated

import typer

from thumbmill.cli import feed
from thumbmill.cli.dead_letters import commands
from thumbmill.cli.drill.command import drill
from thumbmill.cli.keys.commands import app as keys
from thumbmill.cli.reconcile import reconcile
from thumbmill.cli.retry import retry
from thumbmill.cli.tenants.commands import app as tenants
from thumbmill.core.build_info import get_version

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Settings come from the environment, then from .local/operator.env, which `make up` writes. Exit codes, "
    "unless a command documents others: 0 success, 1 a server is unavailable or rejects the request, 2 wrong use, "
    "3 nothing found, 130 interrupted.",
)
app.add_typer(commands.app, name="dead")
app.add_typer(feed.app, name="feed")
app.add_typer(keys, name="keys")
app.add_typer(tenants, name="tenants")
app.command()(drill)
app.command()(reconcile)
app.command()(retry)


def print_version(is_requested: bool) -> None:  # noqa: FBT001 - typer passes the flag by position
    """Print the version and exit, if the flag is given."""
    if is_requested:
        typer.echo(get_version())
        raise typer.Exit


@app.callback()
def read_options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Operate a running Thumbmill system."""


def main() -> None:
    """Run the command and exit."""
    app(prog_name="thumbmill")


if __name__ == "__main__":
    main()
