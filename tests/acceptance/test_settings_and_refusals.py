"""Services that cannot run: they say which variable or permission is at fault, exit, and lose nothing."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from local.minio import describe_provision
from local.ports import free_ports
from support.pictures import photo
from support.system import ORIGINALS, PROCESSED, problem
from support.waiting import wait_until

SERVICES = ("gateway", "thumbnailer", "status-tracker")
PORTS = {"gateway": "GATEWAY_PORT", "thumbnailer": "HEALTH_PORT", "status-tracker": "HEALTH_PORT"}

EVERYWHERE = ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "RABBITMQ_USER", "RABBITMQ_PASSWORD")
REQUIRED = {
    "gateway": (*EVERYWHERE, "DATABASE_URL", "UPLOAD_SIGNER_ACCESS_KEY", "UPLOAD_SIGNER_SECRET_KEY"),
    "thumbnailer": EVERYWHERE,
    "status-tracker": (*EVERYWHERE, "DATABASE_URL"),
}

EVERYWHERE_WRONG = {
    "MINIO_URL": "ftp://127.0.0.1:9000",
    "RABBITMQ_PORT": "70000",
    "LOG_LEVEL": "chatty",
    "LOG_FORMAT": "xml",
}
WRONG = {
    "gateway": EVERYWHERE_WRONG
    | {
        "GATEWAY_PORT": "eight thousand",
        "DATABASE_URL": "mysql://gateway@127.0.0.1/thumbmill",
        "PUBLIC_URL": "127.0.0.1",
        "MINIO_PUBLIC_URL": "http://127.0.0.1/path",
        "MAX_UPLOAD_BYTES": "0",
        "TICKET_LIFETIME_SECONDS": "-1",
        "UPLOAD_DEADLINE_SECONDS": "soon",
        "CORS_ALLOW_ORIGINS": "example.org",
        "ALLOW_ANONYMOUS": "perhaps",
    },
    "thumbnailer": EVERYWHERE_WRONG
    | {
        "HEALTH_PORT": "0",
        "RABBITMQ_QUEUE": "no good name!",
        "THUMBNAILER_DECODERS": "0",
        "THUMBNAILER_PREFETCH": "-1",
        "MAX_PIXELS": "many",
        "DECODE_TIMEOUT_SECONDS": "0",
        "DECODE_MEMORY_BYTES": "1000",
        "DECODER_FAULTS": "maybe",
        "DECODER_RETIREMENT": "0",
        "MAX_FRAMES": "0",
        "MAX_ANIMATION_PIXELS": "few",
        "PRESETS_FILE": "/no/such/presets.yaml",
        "EXPOSE_GPS": "perhaps",
        "ACCEPT_DAMAGED": "2",
        "STOP_GRACE_SECONDS": "never",
    },
    "status-tracker": EVERYWHERE_WRONG
    | {
        "HEALTH_PORT": "0",
        "DATABASE_URL": "127.0.0.1",
        "TRACKER_BATCH_SIZE": "0",
        "SWEEP_INTERVAL_SECONDS": "0",
        "SWEEP_AFTER_SECONDS": "x",
    },
}


def free_port():
    """A port for a process that is to come in nobody's way."""
    return str(free_ports()["GATEWAY_PORT"])


def complaints(output):
    """The variables that a service complains of."""
    lines = [line for line in output.splitlines() if line.startswith("settings: ")]
    return {line.removeprefix("settings: ").partition(":")[0] for line in lines}


@pytest.mark.parametrize("name", SERVICES)
def test_missing_settings_are_named_all_at_once(system, name):
    code, output = system.run_to_end(name, **dict.fromkeys(REQUIRED[name]))
    assert code == 2, output
    assert complaints(output) == set(REQUIRED[name])


@pytest.mark.parametrize("name", SERVICES)
def test_wrong_settings_are_named_all_at_once(system, name):
    code, output = system.run_to_end(name, **WRONG[name])
    assert code == 2, output
    assert complaints(output) == set(WRONG[name])
    assert "Traceback" not in output


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_may_come_as_a_file_and_its_fault_is_named(system, name, tmp_path):
    missing = str(tmp_path / "none")
    code, output = system.run_to_end(name, MINIO_SECRET_KEY=None, MINIO_SECRET_KEY_FILE=missing)
    assert (code, "MINIO_SECRET_KEY_FILE" in output, missing in output) == (2, True, True), output
    code, output = system.run_to_end(name, MINIO_SECRET_KEY_FILE=missing)
    assert (code, "MINIO_SECRET_KEY_FILE" in output) == (2, True), output
    file = tmp_path / "secret"
    file.write_text(f"{system.stack.table[name].environment['MINIO_SECRET_KEY']}\n")
    system.stack.restart(name, MINIO_SECRET_KEY="", MINIO_SECRET_KEY_FILE=str(file))
    system.stack.restart(name)


@pytest.mark.parametrize("name", SERVICES)
def test_an_unknown_crash_point_is_named(system, name):
    code, output = system.run_to_end(name, CRASH_POINT="nowhere", **{PORTS[name]: free_port()})
    assert code == 2, output
    assert "CRASH_POINT" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_that_is_taken_is_named_with_its_variable(system, name):
    code, output = system.run_to_end(name)  # beside the one that runs
    assert code != 0
    assert PORTS[name] in output
    assert str(system.stack.table[name].environment[PORTS[name]]) in output
    assert "Traceback" not in output


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_help(system, name):
    code, output = system.run_to_end(name, "--help")
    assert (code, name in output) == (0, True)


# --- refusals ----------------------------------------------------------------------------------------------


def refusals(system, name):
    """Settings that are well formed and that some server refuses, each with what has to be named."""
    login, _, address = system.stack.table[name].environment.get("DATABASE_URL", "").rpartition("@")
    database = [
        ({"DATABASE_URL": f"{login}x@{address}"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"{login}@{address}x"}, "DATABASE_URL"),
    ]
    signer = {"MINIO_ACCESS_KEY": "upload-signer", "MINIO_SECRET_KEY": system.secrets["UPLOAD_SIGNER_SECRET_KEY"]}
    gateway = {"RABBITMQ_USER": "gateway", "RABBITMQ_PASSWORD": system.secrets["GATEWAY_RABBITMQ_PASSWORD"]}
    forms = [
        ({"UPLOAD_SIGNER_SECRET_KEY": "wrong-secret"}, "UPLOAD_SIGNER_SECRET_KEY"),
        ({"UPLOAD_SIGNER_ACCESS_KEY": "nobody"}, "UPLOAD_SIGNER_ACCESS_KEY"),
        (
            {
                "UPLOAD_SIGNER_ACCESS_KEY": "thumbnailer",
                "UPLOAD_SIGNER_SECRET_KEY": system.secrets["THUMBNAILER_MINIO_SECRET_KEY"],
            },
            "UPLOAD_SIGNER_ACCESS_KEY",
        ),
    ]
    return [
        ({"MINIO_SECRET_KEY": "wrong-secret"}, "MINIO_SECRET_KEY"),
        ({"MINIO_ACCESS_KEY": "nobody"}, "MINIO_ACCESS_KEY"),
        (signer, "policy"),
        ({"RABBITMQ_PASSWORD": "wrong"}, "RABBITMQ_PASSWORD"),
        ({"RABBITMQ_VHOST": "nowhere"}, "RABBITMQ_VHOST"),
        *(database if login else []),
        *(forms if name == "gateway" else []),
        *([(gateway, "user 'gateway'")] if name != "gateway" else []),
    ]


def assert_refused(system, name, changes, word):
    code, output = system.run_to_end(name, **{PORTS[name]: free_port()}, **changes)
    assert code == 1, f"{changes}: {code}\n{output}"
    assert word in output, f"{changes}: no {word} in\n{output}"
    assert "Traceback" not in output


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_refused_says_why_and_loses_nothing(system, name):
    queue = {"thumbnailer": "image_queue"}.get(name, "status_tracker")
    with system.stopped("status-tracker" if name == "gateway" else name):
        key = system.post_form(photo())["key"]
        waiting = wait_until(lambda: system.queue_length(queue))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda case: assert_refused(system, name, *case), refusals(system, name)))
        assert system.queue_length(queue) >= waiting
    system.wait_key(key)


def test_a_queue_that_is_declared_otherwise_is_named_with_what_differs(system):
    admin = {"RABBITMQ_USER": "admin", "RABBITMQ_PASSWORD": system.secrets["RABBITMQ_ADMIN_PASSWORD"]}
    with system.channel() as channel:
        channel.queue_declare("differs", durable=True, arguments={"x-queue-type": "classic"})
        try:
            changes = {"RABBITMQ_QUEUE": "differs", **admin}
            for word in ("inequivalent arg 'x-queue-type'", "queue 'differs'"):
                assert_refused(system, "thumbnailer", changes, word)
        finally:
            channel.queue_delete("differs")


def test_a_missing_bucket_is_named_and_nothing_is_lost(system):
    for name in SERVICES:
        system.stack.stop(name)
    system.put("waits.jpg", photo())
    for queue in ("image_queue", "status_tracker"):
        wait_until(lambda queue=queue: system.queue_length(queue))
    waiting = system.queue_length("image_queue")
    remove_bucket(system, PROCESSED)
    try:
        for name in ("gateway", "thumbnailer"):
            assert_refused(system, name, {}, PROCESSED)
        remove_bucket(system, ORIGINALS)
        for name in SERVICES:
            assert_refused(system, name, {}, ORIGINALS)
    finally:
        command, environment = describe_provision(system.stack.site)
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert system.queue_length("image_queue") == waiting
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
    """The addresses of a database that nobody has migrated, by role."""
    with psycopg.connect(system.stack.addresses.database(), autocommit=True) as owner:
        owner.execute("CREATE DATABASE unmigrated")
        yield lambda role: system.stack.addresses.database(role).rpartition("/")[0] + "/unmigrated"
        owner.execute("DROP DATABASE unmigrated WITH (FORCE)")


def test_a_tracker_for_another_schema_says_what_to_run(system, empty_database):
    settings = {"DATABASE_URL": empty_database("status_tracker")}
    assert_refused(system, "status-tracker", settings, "run `status-tracker migrate`")
    migration = {"MIGRATION_DATABASE_URL": empty_database("thumbmill")}
    code, output = system.run_to_end("status-tracker", "migrate", **migration)
    assert code == 0, output
    assert system.run_to_end("status-tracker", "migrate", **migration)[0] == 0  # once more is no fault
    with psycopg.connect(empty_database("thumbmill"), autocommit=True) as owner:
        owner.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, 'of tomorrow')")
    assert_refused(system, "status-tracker", settings, "newer")


def test_a_gateway_without_a_schema_says_what_to_run(system, empty_database):
    system.stack.restart("gateway", wait=False, DATABASE_URL=empty_database("gateway"))
    answer = wait_until(lambda: readyz(system), what="the gateway to answer")
    assert answer.status_code == 503
    assert "status-tracker migrate" in answer.json()["away"]["postgres"]
    assert problem(system.http.get("/api/v1/images"), 503) == "database_away"
    system.stack.restart("gateway")


def readyz(system):
    try:
        return system.http.get("/readyz")
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"MIGRATION_DATABASE_URL": None}, 2, "MIGRATION_DATABASE_URL"),
        ({"MIGRATION_DATABASE_URL": "postgresql://thumbmill:wrong@127.0.0.1:{port}/thumbmill"}, 1,
         "MIGRATION_DATABASE_URL"),
        ({"MIGRATION_DATABASE_URL": "{tracker}"}, 1, "permission"),
    ],
    ids=["missing", "wrong password", "not the owner"],
)  # fmt: skip
def test_a_migration_that_is_refused_says_why(system, changes, code, word):
    words = {"port": system.ports["POSTGRES_PORT"], "tracker": system.stack.addresses.database("status_tracker")}
    filled = {name: value and value.format(**words) for name, value in changes.items()}
    found, output = system.run_to_end("status-tracker", "migrate", **filled)
    assert found == code, output
    assert word in output
    assert "Traceback" not in output


# --- who may call ------------------------------------------------------------------------------------------


def test_a_gateway_that_others_can_reach_wants_keys(system):
    code, output = system.run_to_end("gateway", GATEWAY_HOST="0.0.0.0", GATEWAY_PORT=free_port())
    assert code == 2, output
    assert "API_KEYS" in output
    assert "ALLOW_ANONYMOUS" in output


def test_keys_open_the_api_and_nothing_else_does(system):
    calls = [
        ("GET", "/api/v1/images", {}),
        ("POST", "/api/v1/images", {"files": {"file": ("photo.jpg", photo())}}),
        ("POST", "/api/v1/uploads", {"json": {"content_type": "image/jpeg"}}),
        ("POST", "/upload-image/", {"files": {"file": ("photo.jpg", photo())}}),
    ]
    one = f"/api/v1/images/{system.wait_status(system.post_form(photo())['id'])['id']}"
    calls += [("GET", f"{one}{rest}", {}) for rest in ("", "/events", "/variants/original", "/variants/thumbnail")]
    with system.restarted("gateway", API_KEYS="first-key, second-key"):
        before = system.keys(ORIGINALS)
        wrong = [{}, {"X-API-Key": "third-key"}, {"X-API-Key": "first-key,second-key"}, {"X-API-Key": ""},
                 {"Authorization": "Bearer first-ke"}, {"Authorization": "Basic first-key"}]  # fmt: skip
        for method, path, content in [*calls, ("DELETE", one, {})]:
            for headers in wrong:
                answer = system.http.request(method, path, headers=headers, **content)
                assert problem(answer, 401) == "unauthorized"
                assert answer.headers["www-authenticate"]
        assert system.keys(ORIGINALS) == before
        right = [{"X-API-Key": "first-key"}, {"X-API-Key": "second-key"}, {"Authorization": "Bearer second-key"}]
        for method, path, content in calls:
            for headers in right:
                assert system.http.request(method, path, headers=headers, **content).is_success
        for path in ("/health", "/livez", "/readyz", "/metrics"):
            assert system.http.get(path).status_code == 200
        private = system.http.get(f"{one}/variants/thumbnail", headers=right[0])
        assert "private" in private.headers["cache-control"]
        assert system.http.delete(one, headers=right[0]).status_code == 202
