"""``thumbmill feed renew``, with a tracker that answers without a network."""

import json

import httpx
import pytest
from typer.testing import CliRunner

from thumbmill.cli import tracker_client
from thumbmill.cli.__main__ import app


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RABBITMQ_PASSWORD", "x")
    monkeypatch.setenv("THUMBMILL_OPERATOR", "ada")
    connect = tracker_client.TrackerClient

    def answer_with(handler):
        transport = httpx.MockTransport(handler)
        monkeypatch.setattr(tracker_client, "TrackerClient", lambda url: connect(url, transport))
        return CliRunner().invoke(app, ["feed", "renew"])

    return answer_with


def test_the_new_epoch_is_shown(run):
    sent = []

    def renew(request):
        sent.append((request.method, request.url.path, json.loads(request.content)))
        return httpx.Response(202, json={"state": "done", "epoch": "1f2e3d4c", "last": 1000})

    result = run(renew)
    assert (result.exit_code, sent) == (0, [("POST", "/feed/renew", {"operator": "ada"})])
    assert "1f2e3d4c after change 1000" in result.stdout


@pytest.mark.parametrize("status", [404, 503])
def test_a_tracker_that_cannot_do_it_is_reported(run, status):
    result = run(lambda _: httpx.Response(status, json={"status": "not found", "paths": []}))
    assert (result.exit_code, "STATUS_TRACKER_URL" in result.stderr) == (1, True)
