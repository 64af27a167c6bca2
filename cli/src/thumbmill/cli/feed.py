"""``thumbmill feed``: the feed of changes."""

import typer

from thumbmill.cli import tracker_client
from thumbmill.cli.console import UNAVAILABLE, WRONG_USE, exit_with
from thumbmill.cli.settings import load_settings
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.settings import SettingsError

app = typer.Typer(no_args_is_help=True, help="Manage the feed of changes.")


@app.callback()
def describe() -> None:
    """Manage the feed of changes."""


@app.command()
def renew() -> None:
    """Give the feed a new epoch, after Postgres was restored from a backup.

    A restored feed gives new changes numbers that others had before. With another epoch, a client that knows such a
    number has to start over, instead of missing changes.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        exit_with(str(error), WRONG_USE)
    try:
        renewed = tracker_client.TrackerClient(settings.status_tracker_url).renew_feed(settings.thumbmill_operator)
    except DependencyUnavailable as error:
        exit_with(f"{error} (STATUS_TRACKER_URL={settings.status_tracker_url})", UNAVAILABLE)
    typer.echo(f"the feed continues with epoch {renewed['epoch']} after change {renewed['last']}")
