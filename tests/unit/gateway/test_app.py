"""Responses of the application that need no server."""

import pytest

from tests.unit.gateway.app_client import IMAGE, IMAGE_FILE, NONE, call


def test_a_bug_is_logged_with_its_trace(logged):
    call("GET", "/api/v1/images")
    assert [line["event"] for line in logged if line.get("exc_info")] == ["request_failed"]
    assert logged[-1]["status"] == 500


def test_an_upload_is_accepted():
    response = call("POST", "/api/v1/images", files=IMAGE_FILE)
    assert response.status_code == 202
    assert response.json()["status"] == "PENDING"
    assert response.headers["Location"] == f"http://here/api/v1/images/{response.json()['id']}"


def test_the_legacy_endpoint():
    response = call("POST", "/upload-image/", files=IMAGE_FILE)
    assert response.status_code == 200
    assert set(response.json()) == {"id", "filename", "bucket", "key", "status"}
    assert response.json()["filename"] == "cat.jpg"
    assert call("POST", "/upload-image", files=IMAGE_FILE).status_code == 200


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [("/api/v1/images", "images"), ("/upload-image/", "upload-image"), ("/api/v1/uploads", "uploads")],
)
def test_uploads_and_tickets_are_rejected_while_too_much_waits(path, endpoint):
    response = call(
        "POST", path, is_backlogged=True, **({"json": {}} if endpoint == "uploads" else {"files": IMAGE_FILE})
    )
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert (response.json()["code"], response.json()["detail"]) == ("too_many_waiting", endpoint)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"files": {"file": b"text, not an image"}}, "unsupported_format"),
        ({"files": {"file": b""}}, "empty_file"),
        ({"files": {"image": b"x"}}, "missing_file"),
        ({"json": {}}, "unsupported_content_type"),
    ],
)
def test_at_the_legacy_endpoint_every_client_error_is_a_400(request_, code):
    response = call("POST", "/upload-image/", **request_)
    assert response.status_code == 400
    assert (response.json()["status"], response.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/api/v1/images", 405, "method_not_allowed"),
        ("GET", "/api/v1/images/not-an-id", 422, "invalid_request"),
        ("GET", "/api/v1/images?limit=201", 422, "invalid_request"),
        ("GET", "/api/v1/images?limit=201&statsu=DONE", 400, "unknown_parameter"),
        ("GET", "/api/v1/images?status=SOME", 422, "invalid_request"),
        ("GET", "/api/v1/images?cursor=x", 422, "invalid_request"),
        ("GET", "/api/v1/images", 500, "internal_error"),
        ("POST", "/api/v1/uploads", 422, "invalid_request"),
    ],
)
def test_every_error_is_a_problem(method, path, status, code):
    response = call(method, path)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert "a bug" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        (
            "GET",
            "/api/v1/images?Status=DONE&x[]=1",
            "Status, x[]: allowed: batch, cursor, deleted, key, limit, status",
        ),
        ("POST", "/api/v1/images?file_name=a.jpg", "file_name: allowed: batch, wait"),
        ("POST", "/api/v1/uploads?content_type=image/png", f"content_type: {NONE}"),
        (
            "GET",
            f"{IMAGE}?v=1",
            "v: allowed: wait",
        ),
        (
            "HEAD",
            f"{IMAGE}/events?limit=1",
            f"limit: {NONE}",
        ),
        ("GET", f"{IMAGE}/variants/small?size=9", "size: allowed: v"),
        (
            "DELETE",
            f"{IMAGE}?force",
            "force: allowed: wait",
        ),
    ],
)
def test_an_unknown_parameter_is_named(method, path, detail):
    response = call(method, path)
    assert response.status_code == 400
    if method != "HEAD":
        assert (response.json()["code"], response.json()["detail"]) == ("unknown_parameter", detail)
    assert call(method, path, keys=["right"]).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/images"),
        ("POST", "/upload-image/"),
        ("POST", "/api/v1/uploads"),
        ("GET", "/api/v1/images"),
        ("GET", IMAGE),
        ("GET", f"{IMAGE}/events"),
        ("GET", f"{IMAGE}/variants/original"),
        ("DELETE", IMAGE),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_every_endpoint_requires_a_key(method, path, headers):
    response = call(method, path, keys=["right"], headers=headers)
    assert response.status_code == 401
    assert response.json()["code"] == "unauthorized"
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", [{"X-API-Key": "right"}, {"Authorization": "Bearer right"}])
def test_each_key_gives_access(headers):
    assert (
        call("POST", "/api/v1/images", keys=["other", "right"], headers=headers, files=IMAGE_FILE).status_code
        == 202
    )


def test_a_stuck_gateway_fails_its_liveness_probe():
    assert call("GET", "/livez").json() == {"status": "ok"}
    response = call("GET", "/livez", stuck="no connection")
    assert (response.status_code, response.json()) == (503, {"status": "stuck", "error": "no connection"})


@pytest.mark.parametrize("path", ["/health", "/livez"])
def test_probes_need_no_key(path):
    assert call("GET", path, keys=["right"]).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/readyz"])
def test_operator_pages_require_a_key_if_keys_are_set(path):
    def sees(**options):
        response = call("GET", path, **options)
        return response.is_success and (path != "/readyz" or "unavailable" in response.json())

    keys = {"keys": ["right"], "monitoring_key": "watch"}
    assert sees()
    assert not sees(**keys)
    assert not sees(monitoring_key="watch")
    for key, seen in (("right", True), ("watch", True), ("wrong", False)):
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert sees(headers=headers, **keys) == seen
        assert sees(auth=("anyone", key), **keys) == seen
    assert not sees(headers={"Authorization": "Basic =="}, **keys)


def test_a_browser_asks_for_the_key_of_the_api_docs():
    assert call("GET", "/docs", keys=["right"]).headers["WWW-Authenticate"].startswith("Basic")


def test_the_monitoring_key_gives_no_access_to_images():
    headers = {"X-API-Key": "watch"}
    assert call("GET", "/api/v1/images", keys=["right"], monitoring_key="watch", headers=headers).status_code == 401
