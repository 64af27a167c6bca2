"""Services with missing or invalid settings: they name every variable, and exit."""

import pytest

from tests.support.services import PORTS, SERVICES

EVERYWHERE = ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "RABBITMQ_USER", "RABBITMQ_PASSWORD")

REQUIRED = {
    "gateway": (
        *(*EVERYWHERE, "DATABASE_URL", "UPLOAD_SIGNER_ACCESS_KEY", "UPLOAD_SIGNER_SECRET_KEY"),
        *("PART_SIGNER_ACCESS_KEY", "PART_SIGNER_SECRET_KEY"),
    ),
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
        "MAX_QUEUED_IMAGES": "-1",
        "MAX_QUEUE_AGE_SECONDS": "long",
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
        "RECONCILE_INTERVAL_SECONDS": "0",
        "RECONCILE_OBJECTS_PER_MINUTE": "0",
        "RECONCILE_AFTER_SECONDS": "-1",
    },
}


def complaints(output):
    """Return the variables that a service's errors name."""
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
def test_a_secret_may_come_from_a_file_whose_errors_are_named(system, name, tmp_path):
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
def test_a_port_in_use_is_named_with_its_variable(system, name):
    code, output = system.run_to_end(name)  # next to the running one
    assert code != 0
    assert PORTS[name] in output
    assert str(system.stack.table[name].environment[PORTS[name]]) in output
    assert "Traceback" not in output


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_help(system, name):
    code, output = system.run_to_end(name, "--help")
    assert (code, name in output) == (0, True)
