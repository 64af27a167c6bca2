"""The session cookie of browsers, at a gateway with keys."""

import pytest

from tests.support.images import photo
from tests.support.system import ORIGINALS, problem

OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def api_keys():
    return {"API_KEYS": "a-client-s,another-s", "CORS_ALLOW_ORIGINS": "http://app.example"}


def test_a_session_gives_what_its_key_gives_to_pages_of_the_gateway(system, api_keys):
    image = f"/api/v1/images/{system.wait_status(system.post_form(photo())['id'])['id']}"
    form = {"file": ("photo.jpg", photo())}
    with system.restarted("gateway", **api_keys):
        assert problem(system.http.post("/api/v1/session", json={"key": "a-client-"}), 401) == "unauthorized"
        opened = system.http.post("/api/v1/session", json={"key": "a-client-s"})
        name, _, token = opened.headers["set-cookie"].partition(";")[0].partition("=")
        system.http.cookies.clear()
        sent = {"Cookie": f"{name}={token}"}
        assert system.http.get(f"{image}/variants/thumbnail", headers=sent).status_code == 200  # what <img> sends
        before = system.keys(ORIGINALS)
        for page in (
            {},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://app.example"},
            {"Origin": "http://app.example"},
        ):
            answer = system.http.post("/api/v1/images", files=form, headers=sent | page)
            assert problem(answer, 403) == "cross_origin"
            assert problem(system.http.delete(image, headers=sent | page), 403) == "cross_origin"
            # A page that has the key needs no cookie, and can set none.
            assert "access-control-allow-credentials" not in answer.headers
        expiry, _, signature = token.partition(".")
        for forged in (f"{int(expiry) + 86400}.{signature}", f"{expiry}.{'0' * 64}", expiry):
            headers = {"Cookie": f"{name}={forged}"} | OWN_PAGE
            assert problem(system.http.post("/api/v1/images", files=form, headers=headers), 401) == "unauthorized"
        assert system.keys(ORIGINALS) == before
        assert system.http.post("/api/v1/images", files=form, headers=sent | OWN_PAGE).status_code == 202
    with system.restarted("gateway", API_KEYS="another-s"):  # another gateway, where the key was removed
        assert problem(system.http.get(image, headers=sent), 401) == "unauthorized"
