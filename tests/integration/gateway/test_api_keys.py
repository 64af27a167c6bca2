import pytest

from tests.integration.gateway.conftest import KEYS, SETTINGS


@pytest.fixture(scope="module")
def locked(system):
    """A gateway with API keys that allows pages of another origin."""
    system.stack.restart("gateway", API_KEYS=",".join(KEYS), CORS_ALLOW_ORIGINS="https://a.example", **SETTINGS)
    yield system
    system.stack.restart("gateway", **SETTINGS)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_accepted_in_either_header(locked, key):
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        assert locked.client.get("/api/v1/images", headers=headers).status_code == 200


def test_nothing_is_stored_without_a_key(locked, photo):
    before = locked.keys()
    for headers in ({}, {"X-API-Key": "first"}, {"Authorization": "Basic Zmlyc3Qta2V5"}):
        assert locked.client.post("/api/v1/images", files={"file": photo}, headers=headers).status_code == 401
    assert locked.keys() == before


def test_responses_are_private_if_keys_are_set(locked):
    image_id = locked.put_done()
    headers = {"X-API-Key": KEYS[0]}
    url = locked.client.get(f"/api/v1/images/{image_id}", headers=headers).json()["variants"][1]["url"]
    caching = locked.client.get(url, headers=headers).headers["Cache-Control"]
    assert caching == "private, max-age=31536000, immutable"


def test_a_page_of_an_allowed_origin_passes_the_preflight(locked):
    answer = locked.client.options(
        "/api/v1/images",
        headers={
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-API-Key",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
