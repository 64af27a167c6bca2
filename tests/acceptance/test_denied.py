"""A right that a service loses while it runs: nothing is lost with it, and giving it back is all that it takes."""

import json
from contextlib import contextmanager

import httpx
import pytest
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from local.minio import SHARED
from support.pictures import photo, red_quarter
from support.waiting import wait_until

LOW_LIMIT = 3


@contextmanager
def denied(system, action):
    """Take a right away from the thumbnailer's user, as a full store does without being asked."""
    keys = StaticProvider(system.secrets["MINIO_ROOT_USER"], system.secrets["MINIO_ROOT_PASSWORD"])
    admin = MinioAdmin(endpoint=f"127.0.0.1:{system.ports['MINIO_PORT']}", credentials=keys, secure=False)
    policy = json.loads((SHARED / "policies" / "thumbnailer.json").read_text())
    denial = {"Effect": "Deny", "Action": [action], "Resource": ["arn:aws:s3:::*"]}
    admin.policy_add("thumbnailer", policy={**policy, "Statement": [*policy["Statement"], denial]})
    try:
        yield
    finally:
        admin.policy_add("thumbnailer", policy=policy)


@pytest.fixture
def low_limit(system):
    """The broker gives up a message of the image queue after a few deliveries instead of a thousand."""
    api = f"http://127.0.0.1:{system.ports['RABBITMQ_MANAGEMENT_PORT']}/api/policies/%2F"
    login = ("admin", system.secrets["RABBITMQ_ADMIN_PASSWORD"])
    with httpx.Client(auth=login) as client:
        ours = next(p for p in client.get(api).json() if p["pattern"] == "^image_queue$")
        lower = ours["definition"] | {"delivery-limit": LOW_LIMIT}
        put = {"pattern": ours["pattern"], "apply-to": "queues", "priority": 9, "definition": lower}
        client.put(f"{api}/low-limit", json=put).raise_for_status()
        yield
        client.delete(f"{api}/low-limit").raise_for_status()


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_a_right_that_is_missing_for_a_while_costs_no_attempt(system, action):
    with denied(system, action):
        image = system.post_form(photo(orientation=3))
        refused = 'thumbmill_deliveries_total{action="release",queue="image_queue"}'
        before = system.metric("THUMBNAILER_HEALTH_PORT", refused)
        wait_until(lambda: system.metric("THUMBNAILER_HEALTH_PORT", refused) >= before + 2)
        assert system.image(image["id"])["status"] in {"PENDING", "PROCESSING"}
    done = system.wait_status(image["id"])
    assert done["attempts"] == 1
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"
    assert system.queue_length("image_queue.dead") == 0


def test_a_message_at_the_brokers_limit_is_kept_with_the_dead(system, low_limit):
    with denied(system, "s3:PutObject"):
        image = system.post_form(photo())
        wait_until(lambda: system.queue_length("image_queue.dead") == 1, 60, "the broker to put the message aside")
    [(body, headers)] = system.drain("image_queue.dead")
    assert headers["x-death"][0]["reason"] == "delivery_limit"
    assert headers["x-death"][0]["queue"] == "image_queue"
    system.publish_storage_event(body)  # as an operator would
    system.wait_status(image["id"])
