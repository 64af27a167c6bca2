"""``thumbmill``: what people do to a running system."""

import typer

from thumbmill.cli.dead_letters import commands
from thumbmill.cli.drill.command import drill
from thumbmill.cli.reconcile import reconcile
from thumbmill.cli.retry import retry

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Looks after a running Thumbmill.",
    epilog="Settings: README.md. Exit codes, unless a command tells others: 0 done, 1 a server is away or refuses, "
    "2 wrong use, 3 nothing found, 130 interrupted.",
)
app.add_typer(commands.app, name="dead")
app.command()(drill)
app.command()(reconcile)
app.command()(retry)


def main() -> None:
    """Run the command and exit."""
    app(prog_name="thumbmill")


if __name__ == "__main__":
    main()
