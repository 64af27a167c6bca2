"""MinIO's configuration: least privilege, one way of signing for each user, and the same names as the code."""

import json
import re
import runpy

import pytest

from devstack.envfile import read_env_file
from devstack.installation import CHECKOUT
from devstack.minio_build import MODULE
from thumbmill.core.messaging import topology

MINIO = CHECKOUT / "infra" / "minio"
PROVISION = runpy.run_path(str(MINIO / "provision.py"))
POLICIES = {path.stem: json.loads(path.read_text()) for path in (MINIO / "policies").glob("*.json")}
VARIABLES = read_env_file(MINIO / "minio.env")


def test_every_user_has_a_policy():
    assert POLICIES.keys() == PROVISION["SECRETS"].keys()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_statement_is_limited_to_one_way_of_signing(name):
    signing = {"upload-signer": "POST", "part-signer": "REST-QUERY-STRING"}.get(name, "REST-HEADER")
    for statement in allowing(name):
        assert statement["Condition"] == {"StringEquals": {"s3:authType": signing}}


def allowing(name):
    return [statement for statement in POLICIES[name]["Statement"] if statement["Effect"] == "Allow"]


def rights(name):
    return {
        (action, resource.removeprefix("arn:aws:s3:::"))
        for statement in allowing(name)
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


@pytest.mark.parametrize("name", ["upload-signer", "part-signer"])
def test_the_signers_may_only_put_uploads(name):
    assert rights(name) == {("s3:PutObject", f"images-original/{prefix}uploads/*") for prefix in ("", "t/*/")}


def test_the_uploader_of_the_default_tenant_may_do_nothing_with_keys_of_others():
    denied = [statement for statement in POLICIES["s3-uploader"]["Statement"] if statement["Effect"] == "Deny"]
    assert {"Effect": "Deny", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::images-original/t/*"]} in denied


def test_only_the_thumbnailer_writes_variants():
    assert who_may("s3:PutObject", "images-processed") == {"thumbnailer"}


def test_deleting_variants_and_originals_is_limited_to_those_who_need_it():
    assert who_may("s3:DeleteObject", "images-processed") == {"thumbnailer", "status-tracker"}
    assert who_may("s3:DeleteObject", "images-original/*") == {"gateway"}
    for prefix in ("", "t/*/"):
        assert who_may("s3:DeleteObject", f"images-original/{prefix}uploads/*") == {"status-tracker"}


def who_may(action, bucket):
    return {name for name in POLICIES if any(a == action and r.startswith(bucket) for a, r in rights(name))}


@pytest.mark.parametrize("name", ["gateway", "thumbnailer", "status-tracker"])
def test_services_may_list_their_buckets_so_that_head_returns_404_and_not_403(name):
    buckets = {resource.removesuffix("/*") for action, resource in rights(name) if action == "s3:GetObject"}
    assert {("s3:ListBucket", bucket) for bucket in buckets} <= rights(name)


def test_no_action_contains_a_wildcard():
    assert not [action for name in POLICIES for action, _ in rights(name) if "*" in action]


@pytest.mark.parametrize(("target", "key"), [("IMMEDIATE", topology.IMMEDIATE), ("DURABLE", topology.DURABLE)])
def test_both_targets_publish_to_the_exchange_that_the_topology_declares(target, key):
    exchange = next(exchange for exchange in topology.EXCHANGES if exchange.name == topology.STORAGE_EVENTS)
    found = {
        name.removeprefix("MINIO_NOTIFY_AMQP_").removesuffix(f"_{target}"): value
        for name, value in VARIABLES.items()
        if name.endswith(f"_{target}")
    }
    assert found["ENABLE"] == found["DURABLE"] == "on", "MinIO treats any other value, `true` too, as off"
    assert (found["EXCHANGE"], found["EXCHANGE_TYPE"], found["ROUTING_KEY"]) == (exchange.name, exchange.type, key)
    assert found["DELIVERY_MODE"] == "2"
    assert ("QUEUE_DIR" in found) == (found["PUBLISHING_CONFIRMS"] == "on") == (target == "DURABLE")


def test_provisioning_subscribes_the_targets_that_the_variables_enable():
    enabled = {name.rpartition("_")[2] for name in VARIABLES if "_ENABLE_" in name}
    assert {arn.split(":")[-2] for arn in PROVISION["TARGETS"]} == enabled


def test_events_are_sent_before_the_upload_is_answered():
    assert VARIABLES["MINIO_API_SYNC_EVENTS"] == "on"


def test_uploads_wait_until_the_notification_rules_are_loaded():
    assert VARIABLES["MINIO_SYNC_BOOT"] == "on"


def test_no_event_name_contains_a_wildcard():
    assert not [event for event in PROVISION["EVENTS"] if "*" in event]


def test_image_and_launcher_build_the_same_module():
    assert re.findall(r"github\.com/\S+", (MINIO / "Dockerfile").read_text()) == [MODULE]
