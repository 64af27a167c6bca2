"""The names of all secrets: the launcher, Compose and the programs that create users agree on them."""

import runpy

from devstack.credentials import GENERATED
from devstack.installation import CHECKOUT
from infra.compose.secret_files import PASSWORDS
from infra.rabbitmq.users import SECRETS as RABBITMQ_SECRETS

MINIO_SECRETS = runpy.run_path(str(CHECKOUT / "infra" / "minio" / "provision.py"))["SECRETS"]
ROOT = {"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"}
POSTGRES = {
    "POSTGRES_PASSWORD",
    "STATUS_TRACKER_DATABASE_PASSWORD",
    "GATEWAY_DATABASE_PASSWORD",
    "KEY_KEEPER_DATABASE_PASSWORD",
}
SERVERS = {*MINIO_SECRETS.values(), *RABBITMQ_SECRETS.values(), *ROOT, *POSTGRES}
GATEWAY_KEYS = {"API_KEYS", "MONITORING_KEY", "SIGNING_KEYS"}  # of clients: the launcher has no API keys


def test_the_launcher_generates_what_the_servers_need():
    assert {"MINIO_ROOT_USER", *GENERATED} == SERVERS


def test_compose_has_a_file_for_each_secret():
    assert {name.upper() for name in PASSWORDS} == SERVERS | GATEWAY_KEYS
    assert len(PASSWORDS) == len(set(PASSWORDS))
