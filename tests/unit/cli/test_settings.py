import pytest

from thumbmill.cli.settings import load_settings
from thumbmill.core.settings import SettingsError


@pytest.fixture(autouse=True)
def no_variables(monkeypatch, tmp_path):
    for name in ("HOST", "PORT", "VHOST", "USER", "PASSWORD", "PASSWORD_FILE", "QUEUE"):
        monkeypatch.delenv(f"RABBITMQ_{name}", raising=False)
    for name in ("THUMBMILL_ENV_FILE", "THUMBMILL_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def running_up(tmp_path):
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local/operator.env").write_text(
        "RABBITMQ_PORT=5999\nRABBITMQ_PASSWORD=from-up\nRABBITMQ_QUEUE=q\n"
    )


def test_no_variable_is_needed_for_a_running_up(running_up):
    settings = load_settings()
    assert (settings.rabbitmq_user, settings.rabbitmq_port, settings.rabbitmq_queue) == ("operator", 5999, "q")
    assert settings.rabbitmq_password.get_secret_value() == "from-up"
    assert settings.thumbmill_operator


def test_the_environment_takes_precedence(running_up, monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("from-file\n")
    monkeypatch.setenv("RABBITMQ_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("RABBITMQ_PORT", "6000")
    monkeypatch.setenv("THUMBMILL_OPERATOR", "ada")
    settings = load_settings()
    assert (settings.rabbitmq_port, settings.thumbmill_operator) == (6000, "ada")
    assert settings.rabbitmq_password.get_secret_value() == "from-file"


def test_the_file_can_be_set_by_a_variable(running_up, monkeypatch, tmp_path):
    (tmp_path / "other.env").write_text("RABBITMQ_PASSWORD=other\n")
    monkeypatch.setenv("THUMBMILL_ENV_FILE", str(tmp_path / "other.env"))
    assert load_settings().rabbitmq_password.get_secret_value() == "other"


def test_the_error_names_the_missing_variable_and_the_file():
    with pytest.raises(SettingsError, match=r"RABBITMQ_PASSWORD: is required(.|\n)*\.local/operator\.env"):
        load_settings()


def test_an_empty_variable_is_ignored(running_up, monkeypatch):
    monkeypatch.setenv("THUMBMILL_OPERATOR", "")
    assert load_settings().thumbmill_operator
