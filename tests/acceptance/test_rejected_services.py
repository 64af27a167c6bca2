"""Services that a server rejects: they name the variable or permission, exit, and lose nothing."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from devstack.minio import describe_provision
from tests.support.images import photo
from tests.support.services import PORTS, SERVICES, free_port
from tests.support.system import ORIGINALS, PROCESSED, problem
from tests.support.waiting import wait_until


def refusals(system, name):
    """Well-formed settings that a server rejects, each with what the error must name."""
    login, _, address = system.stack.table[name].environment.get("DATABASE_URL", "").rpartition("@")
    database = [
        ({"DATABASE_URL": f"{login}x@{address}"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"{login}@{address}x"}, "DATABASE_URL"),
    ]
    signer = {"MINIO_ACCESS_KEY": "upload-signer", "MINIO_SECRET_KEY": system.secrets["UPLOAD_SIGNER_SECRET_KEY"]}
    gateway = {"RABBITMQ_USER": "gateway", "RABBITMQ_PASSWORD": system.secrets["GATEWAY_RABBITMQ_PASSWORD"]}
    forms = [
        ({"UPLOAD_SIGNER_SECRET_KEY": "wrong-secret"}, "UPLOAD_SIGNER_SECRET_KEY"),
        ({"UPLOAD_SIGNER_ACCESS_KEY": "unknown"}, "UPLOAD_SIGNER_ACCESS_KEY"),
        (
            {
                "UPLOAD_SIGNER_ACCESS_KEY": "thumbnailer",
                "UPLOAD_SIGNER_SECRET_KEY": system.secrets["THUMBNAILER_MINIO_SECRET_KEY"],
            },
            "UPLOAD_SIGNER_ACCESS_KEY",
        ),
        ({"PART_SIGNER_SECRET_KEY": "wrong-secret"}, "PART_SIGNER_SECRET_KEY"),
        (
            {
                "PART_SIGNER_ACCESS_KEY": "upload-signer",
                "PART_SIGNER_SECRET_KEY": system.secrets["UPLOAD_SIGNER_SECRET_KEY"],
            },
            "PART_SIGNER_ACCESS_KEY",
        ),
    ]
    return [
        ({"MINIO_SECRET_KEY": "wrong-secret"}, "MINIO_SECRET_KEY"),
        ({"MINIO_ACCESS_KEY": "unknown"}, "MINIO_ACCESS_KEY"),
        (signer, "policy"),
        ({"RABBITMQ_PASSWORD": "wrong"}, "RABBITMQ_PASSWORD"),
        ({"RABBITMQ_VHOST": "nowhere"}, "RABBITMQ_VHOST"),
        *(database if login else []),
        *(forms if name == "gateway" else []),
        *([(gateway, "user 'gateway'")] if name != "gateway" else []),
    ]


def assert_rejected(system, name, changes, text):
    code, output = system.run_to_end(name, **{PORTS[name]: free_port()}, **changes)
    assert code == 1, f"{changes}: {code}\n{output}"
    assert text in output, f"{changes}: no {text} in\n{output}"
    assert "Traceback" not in output


@pytest.mark.parametrize("name", SERVICES)
def test_a_rejected_service_reports_the_reason_and_loses_nothing(system, name):
    queue = {"thumbnailer": "image_queue"}.get(name, "status_tracker")
    with system.stopped("status-tracker" if name == "gateway" else name):
        key = system.post_form(photo())["key"]
        waiting = wait_until(lambda: system.message_count(queue))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda case: assert_rejected(system, name, *case), refusals(system, name)))
        assert system.message_count(queue) >= waiting
    system.wait_key(key)


def test_a_queue_with_other_arguments_is_named_with_the_difference(system):
    admin = {"RABBITMQ_USER": "admin", "RABBITMQ_PASSWORD": system.secrets["RABBITMQ_ADMIN_PASSWORD"]}
    with system.channel() as channel:
        channel.queue_declare("differs", durable=True, arguments={"x-queue-type": "classic"})
        try:
            changes = {"RABBITMQ_QUEUE": "differs", **admin}
            for text in ("inequivalent arg 'x-queue-type'", "queue 'differs'"):
                assert_rejected(system, "thumbnailer", changes, text)
        finally:
            channel.queue_delete("differs")


def test_a_missing_bucket_is_named_and_nothing_is_lost(system):
    for name in SERVICES:
        system.stack.stop(name)
    system.put("waits.jpg", photo())
    for queue in ("image_queue", "status_tracker"):
        wait_until(lambda queue=queue: system.message_count(queue))
    waiting = system.message_count("image_queue")
    remove_bucket(system, PROCESSED)
    try:
        for name in ("gateway", "thumbnailer"):
            assert_rejected(system, name, {}, PROCESSED)
        remove_bucket(system, ORIGINALS)
        for name in SERVICES:
            assert_rejected(system, name, {}, ORIGINALS)
    finally:
        command, environment = describe_provision(system.stack.installation)
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert system.message_count("image_queue") == waiting
    for name in SERVICES:
        system.stack.start(name)
    image = system.wait_key("waits.jpg", "DELETED")  # its message was there, the object was not
    system.put("waits.jpg", photo())
    system.wait_generation(image["id"], 2)


def remove_bucket(system, bucket):
    """Remove a bucket with all that is in it, which MinIO can do."""
    client = system.s3_as(system.secrets["MINIO_ROOT_USER"], system.secrets["MINIO_ROOT_PASSWORD"])

    def force(request, **_):
        request.headers["x-minio-force-delete"] = "true"

    client.meta.events.register("before-sign.s3.DeleteBucket", force)
    client.delete_bucket(Bucket=bucket)


@pytest.fixture
def empty_database(system):
    """Yield the URLs of a database without migrations, by role."""
    with psycopg.connect(system.stack.endpoints.database(), autocommit=True) as owner:
        owner.execute("CREATE DATABASE unmigrated")
        yield lambda role: system.stack.endpoints.database(role).rpartition("/")[0] + "/unmigrated"
        owner.execute("DROP DATABASE unmigrated WITH (FORCE)")


def test_a_tracker_for_another_schema_names_the_command_to_run(system, empty_database):
    settings = {"DATABASE_URL": empty_database("status_tracker")}
    assert_rejected(system, "status-tracker", settings, "run `status-tracker migrate`")
    migration = {"MIGRATION_DATABASE_URL": empty_database("thumbmill")}
    code, output = system.run_to_end("status-tracker", "migrate", **migration)
    assert code == 0, output
    assert system.run_to_end("status-tracker", "migrate", **migration)[0] == 0  # repeating it is no error
    with psycopg.connect(empty_database("thumbmill"), autocommit=True) as owner:
        owner.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, 'of tomorrow')")
    assert_rejected(system, "status-tracker", settings, "newer")


def test_a_gateway_without_a_schema_names_the_command_to_run(system, empty_database):
    system.stack.restart("gateway", wait=False, DATABASE_URL=empty_database("gateway"))
    answer = wait_until(lambda: readyz(system), what="the gateway to respond")
    assert answer.status_code == 503
    assert "status-tracker migrate" in answer.json()["unavailable"]["postgres"]
    assert problem(system.http.get("/api/v1/images"), 503) == "database_unavailable"
    system.stack.restart("gateway")


def readyz(system):
    try:
        return system.http.get("/readyz")
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"MIGRATION_DATABASE_URL": None}, 2, "MIGRATION_DATABASE_URL"),
        ({"MIGRATION_DATABASE_URL": "postgresql://thumbmill:wrong@127.0.0.1:{port}/thumbmill"}, 1,
         "MIGRATION_DATABASE_URL"),
        ({"MIGRATION_DATABASE_URL": "{tracker}"}, 1, "permission"),
    ],
    ids=["missing", "wrong password", "not the owner"],
)  # fmt: skip
def test_a_rejected_migration_reports_the_reason(system, changes, code, text):
    values = {"port": system.ports["POSTGRES_PORT"], "tracker": system.stack.endpoints.database("status_tracker")}
    filled = {name: value and value.format(**values) for name, value in changes.items()}
    found, output = system.run_to_end("status-tracker", "migrate", **filled)
    assert found == code, output
    assert text in output
    assert "Traceback" not in output
