import pytest

from thumbmill.core.settings import SettingsError, load, masked
from thumbmill.gateway.settings import Settings, is_loopback

REQUIRED = {
    "MINIO_ACCESS_KEY": "gateway",
    "MINIO_SECRET_KEY": "minio-secret",
    "RABBITMQ_USER": "gateway",
    "RABBITMQ_PASSWORD": "rabbit-secret",
    "DATABASE_URL": "postgresql://gateway:database-secret@db/thumbmill",
    "UPLOAD_SIGNER_ACCESS_KEY": "upload-signer",
    "UPLOAD_SIGNER_SECRET_KEY": "signer-secret",
    "PART_SIGNER_ACCESS_KEY": "part-signer",
    "PART_SIGNER_SECRET_KEY": "part-secret",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_is_named(name, monkeypatch):
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=f"^{name}: is required and not set$"):
        load(Settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "0"),
        ("PUBLIC_URL", "example.com"),
        ("PUBLIC_URL", "https://example.com/a?b"),
        ("PUBLIC_URL", "https://example.com/a#b"),
        ("PUBLIC_URL", "https://example.com//a"),
        ("TRUSTED_PROXIES", "10.0.0.1,proxy.example"),
        ("MINIO_PUBLIC_URL", "http://minio:9000/path"),
        ("DATABASE_URL", "host=db"),
        ("MAX_CONCURRENT_UPLOADS", "none"),
        ("MAX_QUEUED_IMAGES", "-1"),
        ("MAX_QUEUE_AGE_SECONDS", "-1"),
        ("CORS_ALLOW_ORIGINS", "https://a.example,nonsense"),
        ("API_KEYS", "good, b\u00e4d"),
        ("ALLOW_ANONYMOUS", "perhaps"),
    ],
)
def test_an_invalid_variable_is_named(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load(Settings)


def test_anonymous_access_must_be_explicit(monkeypatch):
    monkeypatch.setenv("GATEWAY_HOST", "0.0.0.0")
    with pytest.raises(SettingsError, match=r"API_KEYS is not set.*ALLOW_ANONYMOUS=true"):
        load(Settings)
    monkeypatch.setenv("ALLOW_ANONYMOUS", "true")
    assert load(Settings).keys == []
    assert not load(Settings).requires_key
    monkeypatch.setenv("ALLOW_ANONYMOUS", "false")  # keys of the database
    assert load(Settings).requires_key
    monkeypatch.setenv("API_KEYS", " one,two ,")
    assert load(Settings).keys == ["one", "two"]


def test_signing_keys_are_optional_and_an_empty_file_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGNING_KEYS", "")
    settings = load(Settings)
    assert (settings.signing_keys.get_secret_value(), settings.signing_keys_file) == ("", None)
    file = tmp_path / "keys"
    file.write_text("\n")
    monkeypatch.setenv("SIGNING_KEYS_FILE", str(file))
    with pytest.raises(SettingsError, match=r"^SIGNING_KEYS: has no key"):
        load(Settings)
    file.write_text(f"1:{'s' * 32}\n")
    assert load(Settings).signing_keys_file == file


def test_addresses_are_accepted_in_their_usual_forms(monkeypatch):
    monkeypatch.setenv("GATEWAY_HOST", "[::1]")
    monkeypatch.setenv("PUBLIC_URL", "https://[2001:db8::1]:8443/images/")
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", "https://A.example/, http://localhost:5173")
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    settings = load(Settings)
    assert settings.gateway_host == "::1"
    assert settings.public_url == "https://[2001:db8::1]:8443/images"
    assert settings.origins == ["https://a.example", "http://localhost:5173"]
    assert settings.proxies == ["10.0.0.0/8", "::1"]


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("GATEWAY_PORT", "")
    monkeypatch.setenv("API_KEYS", "")
    assert load(Settings).gateway_port == 8000


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
    ],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_forms_are_signed_by_the_signer_for_the_public_url_of_minio(monkeypatch):
    monkeypatch.setenv("MINIO_PUBLIC_URL", "https://files.example.com/")
    settings = load(Settings)
    assert settings.form_url == "https://files.example.com"
    signer = settings.signer
    assert signer.minio_url == settings.minio_url
    assert signer.minio_access_key == "upload-signer"
    assert signer.minio_secret_key.get_secret_value() == "signer-secret"
    assert settings.part_signer.minio_access_key == "part-signer"
    assert settings.part_signer.minio_secret_key.get_secret_value() == "part-secret"


def test_no_secret_is_logged(monkeypatch):
    monkeypatch.setenv("API_KEYS", "key-secret")
    assert "secret" not in str(masked(load(Settings)).values())


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, {"localhost"}),
        ({"PUBLIC_URL": "https://Images.example.org:8443"}, {"images.example.org"}),
        (
            {"ALLOWED_HOSTS": "gateway, IMAGES.lan", "PUBLIC_URL": "http://x.lan"},
            {"gateway", "images.lan", "x.lan"},
        ),
        ({"ALLOWED_HOSTS": "*"}, None),
        ({"API_KEYS": "key"}, None),
        ({"API_KEYS": "key", "ALLOWED_HOSTS": "a.lan"}, {"a.lan", "localhost"}),
    ],
)
def test_the_names_that_are_ours(given, hosts, monkeypatch):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert load(Settings).hosts == hosts


def test_all_origins_without_keys_must_be_explicit(monkeypatch):
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", "*")
    with pytest.raises(SettingsError, match="CORS_ALLOW_ORIGINS"):
        load(Settings)
    monkeypatch.setenv("API_KEYS", "key")
    assert load(Settings).origins == ["*"]
