"""Configuration removed from a running system: it is noticed, reported and restored, and nothing is lost."""

import signal
import subprocess
from contextlib import contextmanager

import httpx
import pytest
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from devstack.minio import describe_minio_watch
from devstack.rabbitmq import describe_rabbitmq_watch
from tests.support.images import photo
from tests.support.outage_uploads import readiness
from tests.support.system import ORIGINALS
from tests.support.waiting import wait_until

TRACKER = "STATUS_TRACKER_HEALTH_PORT"
OFTEN = {"HEARTBEAT_INTERVAL_SECONDS": "1", "SWEEP_INTERVAL_SECONDS": "1", "SWEEP_AFTER_SECONDS": "2"}


@contextmanager
def watching(system, describe=describe_minio_watch, begins="notifies both targets"):
    """Yield the provisioner, which stays with a system that `make up` or Compose has started."""
    row = describe(system.stack.installation)
    log = system.stack.log_path(row.name)
    with log.open("wb") as out:
        process = subprocess.Popen([*row.command[:-1], "1"], env=row.environment, stdout=out, stderr=out)

    def logged(text):
        return text in log.read_text()

    try:
        wait_until(lambda: logged(begins), what=f"{row.name} to begin")
        yield logged
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture
def attentive(system):
    """Yield the tracker with short intervals, after a first heartbeat has passed."""
    with system.restarted("status-tracker", **OFTEN):
        yield system
    wait_until(lambda: readiness(system, TRACKER) == {}, what="the tracker to be ready")


def remove_rule(system):
    system.s3.put_bucket_notification_configuration(Bucket=ORIGINALS, NotificationConfiguration={})


def rule(system):
    found = system.s3.get_bucket_notification_configuration(Bucket=ORIGINALS)
    return {entry["QueueArn"] for entry in found.get("QueueConfigurations", [])}


def silent(system, target):
    return system.metric(TRACKER, f'thumbmill_notifications_silent{{target="{target}"}}')


def test_without_the_bucket_s_notification_rule_the_tracker_reports_it_and_images_are_done(attentive):
    system = attentive
    whole = rule(system)
    assert len(whole) == 2
    log = system.stack.log_path("status-tracker")
    before = log.stat().st_size
    remove_rule(system)
    try:
        system.put("unannounced.jpg", photo(seed=1))
        image = system.post_form(photo(seed=2))
        observed = wait_until(
            lambda: readiness(system, TRACKER).get("notifications", ""), 90, "the tracker to notice"
        )
        assert "immediate" in observed
        assert "infra/minio/provision.py" in observed
        assert silent(system, "immediate") == 1
        assert "notifications_silent" in log.read_text()[before:]
        system.wait_status(image["id"], timeout=90)
        system.wait_key("unannounced.jpg", timeout=90)
        assert rule(system) == set(), "no event has announced them"
    finally:
        with watching(system):
            wait_until(lambda: rule(system) == whole, what="the rule to be restored")
    wait_until(lambda: "notifications" not in readiness(system, TRACKER), 90, "the tracker to receive events again")
    assert silent(system, "immediate") == 0
    later = system.wait_status(system.post_form(photo(seed=3))["id"])
    assert "immediate" in {event["recorded_by"] for event in system.events(later["id"])}


def test_configuration_removed_from_minio_is_restored_by_the_provisioner(system):
    keys = StaticProvider(system.secrets["MINIO_ROOT_USER"], system.secrets["MINIO_ROOT_PASSWORD"])
    admin = MinioAdmin(endpoint=f"127.0.0.1:{system.ports['MINIO_PORT']}", credentials=keys, secure=False)
    with watching(system) as logged:
        admin.detach_policy(["thumbnailer"], user="thumbnailer")
        image = system.post_form(photo())
        wait_until(lambda: logged("restored: user thumbnailer"), what="the policy to be attached again")
        assert system.wait_status(image["id"])["attempts"] == 1
        less = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{ORIGINALS}"]}
        admin.policy_add("gateway", policy={"Version": "2012-10-17", "Statement": [less]})
        wait_until(lambda: logged("restored: user gateway"), what="the policy to be complete again")
        remove_rule(system)
        wait_until(lambda: len(rule(system)) == 2, what="the rule to be restored")
        wait_until(lambda: logged(f"restored: bucket {ORIGINALS} notifies both"), what="its log line")
    system.wait_status(system.post_form(photo(seed=4))["id"])


def bindings(system):
    api = f"http://127.0.0.1:{system.ports['RABBITMQ_MANAGEMENT_PORT']}/api/bindings/%2F"
    answer = httpx.get(api, auth=("admin", system.secrets["RABBITMQ_ADMIN_PASSWORD"]))
    return {(one["source"], one["destination"], one["routing_key"]) for one in answer.json() if one["source"]}


@pytest.mark.parametrize(
    ("exchange", "queue", "key"),
    [
        ("storage.events", "image_queue", "immediate"),
        ("storage.events", "status_tracker", "immediate"),
        ("image.lifecycle", "status_tracker", "#"),
        ("message.retry", "image_queue.dead", "image_queue.dead"),
    ],
)
def test_a_removed_binding_is_restored_by_its_consumer(attentive, exchange, queue, key):
    system = attentive
    wait_until(lambda: (exchange, queue, key) in bindings(system), what="the binding")
    with system.channel() as channel:
        channel.queue_unbind(queue, exchange, key)
    wait_until(lambda: (exchange, queue, key) not in bindings(system), what="the binding to be removed")
    image = system.post_form(photo())
    wait_until(lambda: (exchange, queue, key) in bindings(system), 60, "the binding to be restored")
    system.wait_status(image["id"], timeout=60)
    assert system.message_count("image_queue.dead") == 0


def test_configuration_removed_from_the_broker_is_restored_by_the_provisioner(system):
    api = f"http://127.0.0.1:{system.ports['RABBITMQ_MANAGEMENT_PORT']}/api"
    with httpx.Client(base_url=api, auth=("admin", system.secrets["RABBITMQ_ADMIN_PASSWORD"])) as client:
        # Before the provisioner looks: it restores all at once, and reports what was missing when it looked.
        client.delete("/policies/%2F/alternate").raise_for_status()
        client.delete("/policies/%2F/dead-limit").raise_for_status()
        client.delete("/permissions/%2F/operator").raise_for_status()
        with system.channel() as channel:
            channel.queue_delete("unrouted")
        with watching(system, describe_rabbitmq_watch, begins="") as logged:
            for restored in (
                "policies: alternate",
                "policies: dead-limit",
                "permissions: operator",
                "queues: unrouted",
            ):
                wait_until(lambda text=restored: logged(f"restored: {text}"), what=restored)
        for path in ("/queues/%2F/unrouted", "/policies/%2F/alternate", "/permissions/%2F/operator"):
            wait_until(lambda path=path: client.get(path).status_code == 200, what=f"{path} again")
    assert ("unrouted", "unrouted", "") in bindings(system)
