"""A server unavailable for two minutes under load: correct responses, and no repair afterwards."""

import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.images import photo
from tests.support.outage_uploads import all_done_after
from tests.support.system import System

SECONDS = 120
FREQUENT = {"RECONCILE_INTERVAL_SECONDS": "1", "RECONCILE_AFTER_SECONDS": "5"}
RANKS = {"PENDING": 0, "PROCESSING": 1, "DONE": 2}
# The allowed error codes while a server is unavailable; each response has a Retry-After.
ALLOWED_CODES = {
    "rabbitmq": {"broker_unavailable", "not_caught_up"},
    "minio": {"storage_unavailable", "storage_timeout"},
    "postgres": {"database_unavailable"},
}


class Client:
    """Uploads photos through the gateway and by S3 in turn, polls their status, and counts the responses."""

    def __init__(self, stack, name):
        self.system, self.name = System(stack), name
        self.keys, self.ids, self.counts, self.wrong = [], [], Counter(), []
        self._ranks = Counter()

    def upload(self, stop):
        number = 0
        while not stop.wait(0.5):
            number += 1
            self.counts[self._by_s3(number) if number % 2 else self._by_post(number)] += 1

    def _by_s3(self, number):
        key = f"long/{self.name}/{number:04}.jpg"
        try:
            self.system.put(key, photo(seed=number + 1))
        except (ClientError, BotoCoreError):
            return "S3 failed"  # the object may be stored or not, so its end is not checked
        self.keys.append(key)
        return "accepted"

    def _by_post(self, number):
        answer = self.system.http.post("/api/v1/images", files={"file": ("photo.jpg", photo(seed=number + 1))})
        if answer.status_code == 202:
            self.keys.append(answer.json()["key"])
            self.ids.append(answer.json()["id"])
            return "accepted"
        return self._check_code(answer)

    def poll(self, stop):
        chance = random.Random(self.name)
        with closing(System(self.system.stack)) as system:
            while not stop.wait(0.1):
                if self.ids:
                    image_id = chance.choice(self.ids)
                    answer = system.http.get(f"/api/v1/images/{image_id}")
                    self.counts[
                        self._status(image_id, answer) if answer.is_success else self._check_code(answer)
                    ] += 1

    def _status(self, image_id, answer):
        rank = RANKS.get(answer.json()["status"], -1)
        if rank < self._ranks[image_id]:
            self.wrong.append(f"{image_id} went back: {answer.text}")
        self._ranks[image_id] = rank
        return f"status {answer.json()['status']}"

    def _check_code(self, answer):
        code = answer.json().get("code")
        if answer.status_code != 503 or code not in ALLOWED_CODES[self.name] or "retry-after" not in answer.headers:
            self.wrong.append(f"{answer.status_code} {answer.text}")
        return f"503 {code}"


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("server", ALLOWED_CODES)
def test_two_minutes_without_a_server(system, stack, server, capsys):
    client, stop = Client(stack, server), Event()
    reconciling = system.restarted("status-tracker", **FREQUENT)  # MinIO may lose events while it starts
    with closing(client.system), reconciling, all_done_after(system) as keys:
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(client.upload, stop), pool.submit(client.poll, stop)]
            try:
                Event().wait(10)
                stack.stop(server)
                Event().wait(SECONDS)
                stack.start(server)
                Event().wait(5)
            finally:
                stop.set()
        for thread in running:
            thread.result()
        keys.extend(client.keys)
        began = time.monotonic()
    with capsys.disabled():
        seconds = time.monotonic() - began
        output = f"\n{server}: {len(keys)} images, all DONE {seconds:.0f} s after the last; {dict(client.counts)}\n"
        sys.stdout.write(output)
    assert client.wrong == []
