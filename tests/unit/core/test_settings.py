import re

import pytest
from pydantic import Field

from thumbmill.core.settings import (
    BrokerSettings,
    ServiceSettings,
    SettingsError,
    StoreSettings,
    load,
    load_or_exit,
    masked,
)


class Settings(StoreSettings, BrokerSettings, ServiceSettings):
    size: int = Field(1, ge=1, description="a size")


@pytest.fixture
def environment(monkeypatch):
    for name in ("MINIO", "RABBITMQ"):
        monkeypatch.delenv(f"{name}_URL", raising=False)
    for name, value in {
        "MINIO_ACCESS_KEY": "me",
        "MINIO_SECRET_KEY": "minio-secret",
        "RABBITMQ_USER": "me",
        "RABBITMQ_PASSWORD": "rabbit-secret",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_complete_environment_is_loaded(environment):
    environment.setenv("MINIO_URL", "https://store.example:9000/")
    settings = load(Settings)
    assert settings.minio_url == "https://store.example:9000"
    assert settings.rabbitmq_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MINIO_URL", "store:9000"),
        ("MINIO_URL", "http://store:9000/path"),
        ("RABBITMQ_PORT", "70000"),
        ("RABBITMQ_PORT", "many"),
        ("LOG_LEVEL", "loud"),
        ("SIZE", "0"),
        ("RABBITMQ_USER", ""),
    ],
)
def test_an_error_names_its_variable(environment, name, value, capsys):
    environment.setenv(name, value)
    with pytest.raises(SystemExit) as exited:
        load_or_exit(Settings)
    assert exited.value.code == 2
    assert f"settings: {name}: " in capsys.readouterr().err


@pytest.mark.parametrize("link", ["tcp://10.0.0.5:5672", "udp://[fd00::5]:5672"])
def test_a_service_link_of_kubernetes_is_explained(environment, link):
    environment.setenv("RABBITMQ_PORT", link)
    with pytest.raises(SettingsError, match=f"^RABBITMQ_PORT: {re.escape(link)} .*enableServiceLinks: false"):
        load(Settings)


def test_a_secret_is_read_from_a_file(environment, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from-file\n")
    environment.delenv("MINIO_SECRET_KEY")
    environment.setenv("MINIO_SECRET_KEY_FILE", str(secret))
    assert load(Settings).minio_secret_key.get_secret_value() == "from-file"


def test_a_variable_and_its_file_exclude_each_other(environment, tmp_path):
    environment.setenv("MINIO_SECRET_KEY_FILE", str(tmp_path / "x"))
    with pytest.raises(SettingsError, match="MINIO_SECRET_KEY and MINIO_SECRET_KEY_FILE"):
        load(Settings)


def test_a_missing_file_is_reported(environment, tmp_path):
    environment.delenv("MINIO_SECRET_KEY")
    environment.setenv("MINIO_SECRET_KEY_FILE", str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="MINIO_SECRET_KEY_FILE: cannot read"):
        load(Settings)


def test_secrets_are_masked(environment):
    shown = str(masked(load(Settings)))
    assert "MINIO_SECRET_KEY" in shown
    assert "secret'" not in shown
    assert "minio-secret" not in shown
