"""Provisioning waits for what a MinIO node that has just started does not have yet, at every node of a cluster."""

import json
import runpy

import pytest
import urllib3

from devstack.installation import CHECKOUT

PROVISION = runpy.run_path(str(CHECKOUT / "infra" / "minio" / "provision.py"))
TARGETS = list(PROVISION["TARGETS"])


class Node:
    """A node whose description changes from one request to the next; the last one stays."""

    def __init__(self, *descriptions):
        self.descriptions = list(descriptions)

    def info(self):
        answer = self.descriptions.pop(0) if len(self.descriptions) > 1 else self.descriptions[0]
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer)


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


def test_a_node_that_has_no_targets_yet_is_asked_again():
    starting = [described([]), described(TARGETS[:1]), described(TARGETS)]
    assert wait_for({"http://lb:9000": Node(*starting)}) == ["http://lb:9000"]


def test_every_node_behind_a_balancer_is_asked():
    both = described(TARGETS, "m1:9001", "m2:9002")
    nodes = {
        "http://lb:9000": Node(both),
        "http://m1:9001": Node(both),
        "http://m2:9002": Node(urllib3.exceptions.HTTPError("refused"), described([], "m1:9001", "m2:9002"), both),
    }
    assert wait_for(nodes) == list(nodes)
    assert len(nodes["http://m2:9002"].descriptions) == 1, "it was asked until it had them"


def test_one_node_without_its_targets_is_named_when_the_time_is_up():
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


def test_a_server_that_is_down_is_left_out():
    description = described(TARGETS, "m1:9001", "m2:9002")
    description["servers"][1]["state"] = "offline"
    nodes = {"http://lb:9000": Node(description), "http://m1:9001": Node(description)}
    assert wait_for(nodes) == list(nodes)


def test_a_server_that_never_answers_is_named():
    with pytest.raises(PROVISION["ProvisionError"], match="MinIO at http://lb:9000 does not answer: refused"):
        wait_for({"http://lb:9000": Node(urllib3.exceptions.HTTPError("refused"))}, 0.3)
