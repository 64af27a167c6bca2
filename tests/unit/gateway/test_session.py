"""Sessions of browsers: the cookie, and what it gives access to."""

from datetime import UTC, datetime

import pytest

from tests.unit.gateway.access_fakes import authenticator
from tests.unit.gateway.app_client import IMAGE_FILE, call

SESSION = "/api/v1/session"
KEYS = ["other", "right"]
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


def cookie(key="right", name="thumbmill_session"):
    now, access = datetime.now(UTC), authenticator(KEYS)
    token, _ = access.sessions.open(access.find_key(key, now), now)
    return {"Cookie": f"{name}={token}"}


def is_allowed(method, path, headers):
    """Return whether the guards let a request pass."""
    options = {"files": IMAGE_FILE} if (method, path) == ("POST", "/api/v1/images") else {}
    return call(method, path, keys=KEYS, headers=headers, **options).status_code not in {401, 403}


def test_a_key_opens_a_session():
    response = call("POST", SESSION, keys=KEYS, json={"key": "right"})
    assert response.json()["key_required"]
    assert response.json()["authenticated"]
    header = response.headers["Set-Cookie"]
    assert header.startswith("thumbmill_session=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} < set(header.split("; "))
    assert "Domain" not in header
    assert "Secure" not in header
    assert response.headers["Cache-Control"] == "no-store"
    assert is_allowed("POST", "/api/v1/images", {"Cookie": header.split(";")[0], **OWN_PAGE})


def test_with_https_only_this_host_may_set_the_cookie():
    url = {"public_url": "https://images.example/here"}
    header = call("POST", SESSION, keys=KEYS, json={"key": "right"}, **url).headers["Set-Cookie"]
    assert header.startswith("__Host-thumbmill_session=")
    assert {"Secure", "Path=/"} < set(header.split("; "))
    for name, expected in (("__Host-thumbmill_session", True), ("thumbmill_session", False)):
        response = call("GET", SESSION, keys=KEYS, headers=cookie(name=name), **url)
        assert response.json()["authenticated"] == expected


@pytest.mark.parametrize("key", ["", "wrong", "right ", "watch"])
def test_another_key_opens_no_session(key):
    response = call("POST", SESSION, keys=KEYS, monitoring_key="watch", json={"key": key})
    assert response.status_code == 401
    assert "Set-Cookie" not in response.headers


def test_the_state_of_the_session():
    def state(**options):
        return call("GET", SESSION, **options).json()

    assert state() == {"key_required": False, "authenticated": True, "expires_at": None}
    assert state(keys=KEYS) == {"key_required": True, "authenticated": False, "expires_at": None}
    assert state(keys=KEYS, headers={"X-API-Key": "right"})["authenticated"]
    opened = state(keys=KEYS, headers=cookie())
    assert opened["authenticated"]
    assert datetime.fromisoformat(opened["expires_at"]) > datetime.now(UTC)
    assert not state(keys=["other"], headers=cookie())["authenticated"]  # its key was removed


def test_without_keys_a_session_needs_none():
    response = call("POST", SESSION, json={"key": "any"})
    assert response.json() == {"key_required": False, "authenticated": True, "expires_at": None}
    assert "Set-Cookie" not in response.headers


def test_logging_out_deletes_the_cookie():
    response = call("DELETE", SESSION, keys=KEYS, headers=cookie())
    assert response.status_code == 204
    assert response.headers["Set-Cookie"].startswith('thumbmill_session=""; ')
    assert "Max-Age=0" in response.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("expected", "headers"),
    [
        (True, OWN_PAGE),
        (True, {"Origin": "http://here"}),  # plain HTTP: no Sec-Fetch-Site
        (False, {}),  # no browser
        (False, {"Sec-Fetch-Site": "same-site", "Origin": "http://here"}),
        (False, {"Sec-Fetch-Site": "same-site"}),
        (False, {"Sec-Fetch-Site": "none"}),
        (False, {"Sec-Fetch-Site": "cross-site", "Origin": "https://trusted.example"}),
        (False, {"Origin": "https://trusted.example"}),
        (False, {"Origin": "http://here:8000"}),
        (False, {"Origin": "https://here"}),
        (False, {"Origin": "null"}),
    ],
)
def test_a_cookie_changes_something_only_for_pages_of_the_gateway(expected, headers):
    def status(method, path, headers, **options):
        return call(
            method, path, keys=KEYS, origins=["https://trusted.example"], headers=headers, **options
        ).status_code

    sent = cookie() | headers
    assert status("POST", "/api/v1/images", sent, files=IMAGE_FILE) == (202 if expected else 403)
    assert (status("DELETE", "/api/v1/images/x", sent) != 403) == expected
    assert status("GET", "/api/v1/images/x", sent) == 422  # reading is allowed
    if headers:
        for method, path, body in (("POST", SESSION, {"json": {"key": "right"}}), ("DELETE", SESSION, {})):
            assert (status(method, path, headers, **body) != 403) == expected


@pytest.mark.parametrize("order", [1, -1])
def test_each_of_several_cookies_of_the_name_is_tried(order):
    own = cookie()["Cookie"]
    sent = "; ".join(["a=b", own, "thumbmill_session=1.forged"][::order])
    for path in (SESSION, "/readyz", "/metrics"):
        response = call("GET", path, keys=KEYS, headers={"Cookie": sent})
        assert response.status_code == 200
    assert call("GET", SESSION, keys=KEYS, headers={"Cookie": sent}).json()["authenticated"]


def test_a_key_is_preferred_to_the_cookie():
    assert not is_allowed("GET", "/api/v1/images/x", cookie() | {"X-API-Key": "wrong"})
    assert is_allowed("POST", "/api/v1/images", cookie() | {"X-API-Key": "right"})  # a program, not a page


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json"])
def test_a_session_opens_the_operator_pages(path):
    assert call("GET", path, keys=KEYS, headers=cookie()).status_code == 200
    assert call("GET", path, keys=["other"], headers=cookie()).status_code == 401
