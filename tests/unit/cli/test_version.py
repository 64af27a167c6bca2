from typer.testing import CliRunner

from thumbmill.cli.__main__ import app
from thumbmill.core.build_info import get_version


def test_the_version_is_printed():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"{get_version()}\n")
