"""A tracker that answers a command with these states of its request, one after another."""

import os
import signal

from typer.testing import CliRunner

from thumbmill.cli import tracker_client
from thumbmill.cli.__main__ import app

INTERRUPT = object()  # Ctrl-C while the request runs


def state(name, report=None, error=""):
    return {"id": 7, "state": name, "report": report, "error": error}


class FakeTracker:
    """Runs a command of the command line against itself; notes what the command sends."""

    def __init__(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("RABBITMQ_PASSWORD", "x")
        monkeypatch.setenv("THUMBMILL_OPERATOR", "ada")
        monkeypatch.setattr(tracker_client, "TrackerClient", self._connect)
        monkeypatch.setattr(tracker_client, "POLL_SECONDS", 0.001)
        self.url = None
        self.created, self.cancelled, self.answers = [], [], []

    def run(self, *arguments, answers):
        self.answers = list(answers)
        return CliRunner().invoke(app, arguments)

    def create(self, path, parameters):
        self.created.append((path, parameters))
        return self._answer()

    def read(self, path, request_id):
        assert (path, request_id) == (self.created[-1][0], 7)
        return self._answer()

    def cancel(self, path, request_id):
        self.cancelled.append((path, request_id))
        return state("cancelled")

    def _connect(self, url):
        self.url = url
        return self

    def _answer(self):
        answer = self.answers.pop(0)
        if answer is INTERRUPT:
            os.kill(os.getpid(), signal.SIGINT)
            return state("running")
        if isinstance(answer, BaseException):
            raise answer
        return answer
