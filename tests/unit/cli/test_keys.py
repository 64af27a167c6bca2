"""The options of `thumbmill keys create` that set limits."""

from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from thumbmill.cli.keys import commands

CREATE = ["create", "--name", "scanner", "--scope", "upload"]


@pytest.mark.parametrize("limit", ["uploads=1", "requests", "requests=", "requests=-1", "requests=1.5", "=3"])
def test_a_limit_that_no_gateway_knows_is_wrong_use(limit):
    result = CliRunner().invoke(commands.app, [*CREATE, "--limit", limit])
    assert result.exit_code == 2
    assert "--limit: use POLICY=NUMBER, with one of requests, tickets, bytes" in result.stderr


def test_the_limits_of_a_key_are_stored_with_it(monkeypatch):
    grants = []

    class Keys:
        def add(self, _key, grant):
            grants.append(grant)

    @contextmanager
    def open_keys():
        yield Keys()

    monkeypatch.setattr(commands, "_open", open_keys)
    result = CliRunner().invoke(commands.app, [*CREATE, "--limit", "requests=60", "--limit", "live-connections=0"])
    assert result.exit_code == 0, result.output
    assert grants[0].limits == {"requests": 60, "live-connections": 0}
