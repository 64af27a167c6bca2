"""Ports: set by variables, distinct, and one error for all that are in use."""

import pytest

from devstack import ports
from devstack.errors import LaunchError


def test_a_variable_sets_its_port_and_no_other():
    assert ports.ports_from({"MINIO_PORT": "19000"}) == {**ports.DEFAULTS, "MINIO_PORT": 19000}


def test_an_empty_variable_is_ignored():
    assert ports.ports_from({"MINIO_PORT": ""}) == ports.DEFAULTS


def test_the_offset_moves_all_ports_but_those_set_by_their_variable():
    moved = ports.ports_from({"PORT_OFFSET": "100", "MINIO_PORT": "19000"})
    assert moved == {name: port + 100 for name, port in ports.DEFAULTS.items()} | {"MINIO_PORT": 19000}


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "20000"])
def test_an_invalid_offset_is_rejected_with_the_valid_range(text):
    with pytest.raises(LaunchError, match=r"PORT_OFFSET=.* from 0 to 10103"):
        ports.ports_from({"PORT_OFFSET": text})


@pytest.mark.parametrize("text", ["x", "0", "65536", "-1", "80.0"])
def test_an_invalid_port_is_rejected_with_its_variable(text):
    with pytest.raises(LaunchError, match="GATEWAY_PORT"):
        ports.ports_from({"GATEWAY_PORT": text})


def test_a_duplicate_port_is_rejected_with_both_variables():
    with pytest.raises(LaunchError, match="GATEWAY_PORT and MINIO_PORT"):
        ports.ports_from({"MINIO_PORT": "8000"})


def test_one_error_lists_every_port_in_use_with_its_variable(monkeypatch):
    monkeypatch.setattr(ports, "_is_free", lambda port: port not in (9000, 5672))
    with pytest.raises(LaunchError) as error:
        ports.require_free(ports.DEFAULTS)
    assert "PORT_OFFSET" in str(error.value).splitlines()[0]
    named = [line.split() for line in str(error.value).splitlines()[1:]]
    assert [(line[0], line[2]) for line in named] == [("9000", "MINIO_PORT"), ("5672", "RABBITMQ_PORT")]


def test_free_ports_are_distinct_and_below_the_ephemeral_range(monkeypatch):
    monkeypatch.setattr(ports, "_is_free", lambda port: port // 100 % 3 == 0)  # in every worker's share
    found = ports.free_ports()
    assert found.keys() == ports.DEFAULTS.keys()
    assert len(set(found.values())) == len(found)
    assert all(port // 100 % 3 == 0 and port < 32768 for port in found.values())


def test_two_workers_never_choose_the_same_port(monkeypatch):
    monkeypatch.setattr(ports, "_TEST_PORTS", range(20000, 20000 + 2 * len(ports.DEFAULTS)))
    monkeypatch.setattr(ports, "_is_free", lambda _: True)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    chosen = set()
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        chosen |= set(ports.free_ports().values())
    assert len(chosen) == 2 * len(ports.DEFAULTS)
