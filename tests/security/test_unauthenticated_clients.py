"""What unauthenticated clients see of a gateway with keys, and pages of other origins of one without."""

import pytest

from tests.support.images import photo
from tests.support.system import ORIGINALS, problem


def test_pages_of_other_origins_can_neither_read_nor_write(system):
    before = system.keys(ORIGINALS)
    for method, path in (
        ("GET", "/api/v1/images"),
        ("GET", "/metrics"),
        ("POST", "/api/v1/images"),
        ("GET", "/docs"),
    ):
        for host in ("rebound.example", "rebound.example:8000", "127.0.0.1.rebound.example"):
            answer = system.http.request(method, path, headers={"Host": host})
            assert problem(answer, 421) == "wrong_host"
    form = {"file": ("photo.jpg", photo())}
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://else.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://else.example"},
        {"Origin": "null"},
    ):
        for path in ("/api/v1/images", "/upload-image/"):
            assert problem(system.http.post(path, files=form, headers=headers), 403) == "cross_origin"
        answer = system.http.get("/api/v1/images", headers=headers)
        assert "access-control-allow-origin" not in answer.headers
    assert system.keys(ORIGINALS) == before
    for host in ("localhost", "127.0.0.1", "[::1]", "localhost:8000"):
        assert system.http.get("/api/v1/images", headers={"Host": host}).status_code == 200


@pytest.fixture(scope="module")
def keys():
    return {"API_KEYS": "a-client-s", "MONITORING_KEY": "prometheus-s", "CORS_ALLOW_ORIGINS": "http://app.example"}


def test_unauthenticated_clients_see_no_internals(system, keys):
    with system.restarted("gateway", **keys):
        for path in ("/metrics", "/docs", "/openapi.json"):
            assert problem(system.http.get(path), 401) == "unauthorized"
            assert system.http.get(path, headers={"Authorization": "Bearer prometheus-s"}).status_code == 200
            assert system.http.get(path, auth=("", "a-client-s")).status_code == 200
        assert system.http.get("/readyz").json() == {"status": "ok"}
        assert "unavailable" in system.http.get("/readyz", headers={"X-API-Key": "prometheus-s"}).json()
        assert problem(system.http.get("/api/v1/images", headers={"X-API-Key": "prometheus-s"}), 401)
        named = {"Origin": "http://app.example", "Sec-Fetch-Site": "cross-site", "X-API-Key": "a-client-s"}
        answer = system.http.post("/api/v1/uploads", json={"content_type": "image/jpeg"}, headers=named)
        assert answer.status_code == 201
        assert answer.headers["access-control-allow-origin"] == "http://app.example"
