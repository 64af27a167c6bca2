"""The addresses that `make up` prints."""

import pytest

from devstack import commands
from devstack.ports import ports_from
from devstack.stack import Stack


@pytest.mark.parametrize(("is_built", "backing_only"), [(True, False), (False, False), (True, True)])
def test_the_web_console_is_announced_only_where_the_gateway_has_it(is_built, backing_only, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "is_built", lambda: is_built)
    rows = commands.list_endpoints(Stack(tmp_path, ports_from({})), backing_only=backing_only)
    names = {name for name, _, _ in rows}
    assert ("Web console" in names) == (is_built and not backing_only)
    assert ("API docs" in names) == (not backing_only)


def test_the_logins_of_the_consoles_are_announced(tmp_path):
    stack = Stack(tmp_path, ports_from({}))
    lines = "\n".join(commands.describe_endpoints(stack, backing_only=False))
    secrets = stack.installation.secrets
    assert f"minioadmin / {secrets['MINIO_ROOT_PASSWORD']}\n" in lines
    assert f"admin / {secrets['RABBITMQ_ADMIN_PASSWORD']}\n" in lines
