import json
import re
from pathlib import Path

from thumbmill.core.messaging.definitions import DELIVERY_LIMIT, definitions

REPOSITORY = Path(__file__).parents[3]


def test_the_definitions_file_is_the_topologys():
    """After a change: ``python -m thumbmill.core.messaging.definitions > infra/rabbitmq/definitions.json``."""
    assert json.loads((REPOSITORY / "infra/rabbitmq/definitions.json").read_text()) == definitions()


def test_no_queue_can_drop_a_message():
    for queue in definitions()["queues"]:
        arguments = queue["arguments"]
        assert arguments["x-queue-type"] == "quorum"
        assert "x-max-length" not in arguments
        if "x-message-ttl" in arguments:
            assert arguments["x-dead-letter-strategy"] == "at-least-once"
            assert arguments["x-overflow"] == "reject-publish"
    limits = [p for p in definitions()["policies"] if p["definition"].get("delivery-limit") == DELIVERY_LIMIT]
    assert [p["pattern"] for p in limits][:3] == [".*", "^image_queue$", "^status_tracker$"]


def test_a_message_at_the_delivery_limit_of_a_work_queue_is_dead_lettered():
    policies = {p["pattern"]: p for p in definitions()["policies"]}
    for queue in ("image_queue", "status_tracker"):
        policy = policies[f"^{queue}$"]
        assert policy["priority"] > policies[".*"]["priority"]
        assert policy["definition"]["dead-letter-exchange"] == "message.retry"
        assert policy["definition"]["dead-letter-routing-key"] == f"{queue}.dead"
        assert policy["definition"]["dead-letter-strategy"] == "at-least-once"


def test_a_dead_letter_can_be_read_any_number_of_times():
    policies = sorted(definitions()["policies"], key=lambda policy: -policy["priority"])
    for queue in ("image_queue.dead", "status_tracker.dead"):
        first = next(p for p in policies if p["apply-to"] == "queues" and re.search(p["pattern"], queue))
        assert first["definition"]["delivery-limit"] > 10**9
    for queue in ("image_queue", "unrouted", "image_queue.delay.5s"):
        first = next(p for p in policies if p["apply-to"] == "queues" and re.search(p["pattern"], queue))
        assert first["definition"]["delivery-limit"] == DELIVERY_LIMIT


def test_dead_letters_about_images_are_kept_and_copied_to_the_tracker():
    bound = {
        (b["routing_key"], b["destination"]) for b in definitions()["bindings"] if b["source"] == "message.retry"
    }
    assert {queue for key, queue in bound if key == "image_queue.dead"} == {"image_queue.dead", "status_tracker"}
    assert {queue for key, queue in bound if key == "status_tracker.dead"} == {"status_tracker.dead"}
    for queue in ("image_queue", "status_tracker"):
        assert {other for key, other in bound if key == queue} == {queue}, "for delayed and redriven messages"


def test_every_binding_connects_an_exchange_and_a_queue_that_exist():
    all_ = definitions()
    exchanges, queues = ({each["name"] for each in all_[kind]} for kind in ("exchanges", "queues"))
    for binding in all_["bindings"]:
        assert binding["source"] in exchanges
        assert binding["destination"] in queues


def test_the_definitions_contain_no_users():
    assert not {"users", "permissions", "topic_permissions"} & set(definitions())


def test_no_queue_dead_letters_through_the_default_exchange():
    """To declare such a queue a user would need permission to write to every queue."""
    for queue in definitions()["queues"]:
        assert queue["arguments"].get("x-dead-letter-exchange", "message.retry") == "message.retry"


def test_former_delay_queues_expire_after_their_messages_have_returned():
    policies = sorted(definitions()["policies"], key=lambda policy: -policy["priority"])
    for queue in ("image_queue.retry.5m", "status_tracker.retry.5s", "my.images.retry.30s"):
        first = next(p for p in policies if p["apply-to"] == "queues" and re.search(p["pattern"], queue))
        assert first["definition"]["expires"] > 60 * 60 * 1000
    names = [queue["name"] for queue in definitions()["queues"]]
    ending = [p["pattern"] for p in policies if "expires" in p["definition"]]
    assert not [name for name in names if any(re.search(pattern, name) for pattern in ending)]
