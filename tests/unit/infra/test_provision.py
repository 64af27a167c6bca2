"""Provisioning waits until every MinIO node of a cluster has its notification targets."""

import json
import runpy

import pytest
import urllib3

from devstack.installation import CHECKOUT

PROVISION = runpy.run_path(str(CHECKOUT / "infra" / "minio" / "provision.py"))
TARGETS = list(PROVISION["TARGETS"])


class Node:
    """A node with a list of responses; the last one repeats."""

    def __init__(self, *responses):
        self.responses = list(responses)

    def info(self):
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, Exception):
            raise response
        return json.dumps(response)


def described(targets, *endpoints):
    servers = [{"endpoint": endpoint, "state": "online"} for endpoint in endpoints or ["m1:9000"]]
    return {"servers": servers, **({"sqsARN": targets} if targets else {})}


def wait_for(nodes, seconds=20.0):
    asked = []

    def connect(url):
        asked.append(url)
        return nodes[url]

    PROVISION["wait_for_targets"](connect, "http://lb:9000", seconds)
    return asked


def test_a_node_without_targets_is_polled_again():
    starting = [described([]), described(TARGETS[:1]), described(TARGETS)]
    assert wait_for({"http://lb:9000": Node(*starting)}) == ["http://lb:9000"]


def test_every_node_behind_a_load_balancer_is_polled():
    both = described(TARGETS, "m1:9001", "m2:9002")
    nodes = {
        "http://lb:9000": Node(both),
        "http://m1:9001": Node(both),
        "http://m2:9002": Node(urllib3.exceptions.HTTPError("refused"), described([], "m1:9001", "m2:9002"), both),
    }
    assert wait_for(nodes) == list(nodes)
    assert len(nodes["http://m2:9002"].responses) == 1, "it was polled until it had them"


def test_the_timeout_error_names_the_node_without_targets():
    both = described(TARGETS, "m1:9001", "m2:9002")
    nodes = {
        "http://lb:9000": Node(both),
        "http://m1:9001": Node(both),
        "http://m2:9002": Node(described(TARGETS[1:], "m1:9001", "m2:9002")),
    }
    with pytest.raises(
        PROVISION["ProvisionError"], match=rf"MinIO at http://m2:9002 has no .*{TARGETS[0]} \(it has"
    ):
        wait_for(nodes, 0.3)


def test_an_offline_server_is_skipped():
    description = described(TARGETS, "m1:9001", "m2:9002")
    description["servers"][1]["state"] = "offline"
    nodes = {"http://lb:9000": Node(description), "http://m1:9001": Node(description)}
    assert wait_for(nodes) == list(nodes)


def test_the_timeout_error_names_a_server_that_does_not_respond():
    with pytest.raises(PROVISION["ProvisionError"], match="MinIO at http://lb:9000 does not respond: refused"):
        wait_for({"http://lb:9000": Node(urllib3.exceptions.HTTPError("refused"))}, 0.3)
