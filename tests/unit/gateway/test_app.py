"""The application without its servers: the responses that need none."""

import asyncio
import re

import httpx
import pytest
from structlog.testing import capture_logs

from tests.unit.gateway.fakes import FakeStorage, Namespace, uploads_into
from thumbmill.gateway.api.app import create_app
from thumbmill.gateway.auth import ApiKeys
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.readiness import ReadinessReport

IMAGE = "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f"
NONE = "this endpoint accepts no parameters"
IMAGE_FILE = {"file": ("cat.jpg", b"\xff\xd8\xff\xe0 image")}


@pytest.fixture(autouse=True)
def logged():
    with capture_logs() as lines:
        yield lines


class BrokenRepository:
    async def page(self, *_):
        raise RuntimeError("a bug")


class Ready:
    async def check(self):
        return ReadinessReport()


class FakeAdmission:
    def __init__(self, *, is_backlogged):
        self.is_backlogged = is_backlogged

    def check_capacity(self, endpoint):
        if self.is_backlogged:
            raise Problem(Code.TOO_MANY_WAITING, endpoint)


def call(
    method,
    path,
    *,
    keys=(),
    origins=(),
    is_backlogged=False,
    stuck="",
    public_url="",
    proxies=(),
    monitoring_key="",
    **request,
):
    async def run():
        with uploads_into(FakeStorage()) as uploads:
            app = create_app(
                Namespace(
                    settings=Namespace(
                        public_url=public_url,
                        origins=list(origins),
                        proxies=list(proxies),
                        hosts=frozenset({"here"}),
                        trusted_origins=frozenset(origins),
                    ),
                    api_keys=ApiKeys(keys, monitoring_key),
                    admission=FakeAdmission(is_backlogged=is_backlogged),
                    uploads=uploads,
                    repository=BrokenRepository(),
                    liveness=Namespace(failure=stuck),
                    readiness=Ready(),
                )
            )
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **request)

    return asyncio.run(run())


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
        ("GET", "/api/v1/images?Status=DONE&x[]=1", "Status, x[]: allowed: cursor, deleted, key, limit, status"),
        ("POST", "/api/v1/images?file_name=a.jpg", f"file_name: {NONE}"),
        ("POST", "/api/v1/uploads?content_type=image/png", f"content_type: {NONE}"),
        (
            "GET",
            f"{IMAGE}?v=1",
            f"v: {NONE}",
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
            f"force: {NONE}",
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


def test_requests_with_a_foreign_host_are_rejected():
    """With DNS rebinding, a page of rebound.example has the same origin as the gateway, by its name."""
    headers = {"Host": "rebound.example:8000", "Sec-Fetch-Site": "same-origin"}
    for method, path in (("GET", "/api/v1/images"), ("POST", "/api/v1/images"), ("GET", "/metrics"), ("GET", "/")):
        response = call(method, path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (421, "wrong_host")


def test_pages_of_other_origins_may_change_nothing_unless_allowed():
    foreign = {"Origin": "http://other.example", "Sec-Fetch-Site": "cross-site"}
    for path in ("/api/v1/images", "/upload-image/"):
        response = call("POST", path, files=IMAGE_FILE, headers=foreign)
        assert (response.status_code, response.json()["code"]) == (403, "cross_origin")
        response = call("POST", path, files=IMAGE_FILE, headers=foreign, origins=["http://other.example"])
        assert response.is_success
        assert response.headers["Access-Control-Allow-Origin"] == "http://other.example"
    assert call("GET", "/livez", headers=foreign).status_code == 200


def test_a_response_before_the_expected_body_closes_the_connection():
    """A client that expects 100 Continue and gets a final response may send the body, or the next request."""
    expecting = {"Expect": "100-continue"}
    assert call("POST", "/nothing", content=b"x", headers=expecting).headers["Connection"] == "close"
    assert "Connection" not in call("POST", "/api/v1/images", files=IMAGE_FILE, headers=expecting).headers
    assert "Connection" not in call("POST", "/nothing", content=b"x").headers


def test_openapi_lists_problems_with_examples():
    document = call("GET", "/openapi.json").json()
    upload = document["paths"]["/api/v1/images"]["post"]
    assert set(upload["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    assert {"202", "400", "401", "413", "415", "503"} <= set(upload["responses"])
    examples = upload["responses"]["503"]["content"]["application/problem+json"]["examples"]
    assert examples["storage_timeout"]["value"]["code"] == "storage_timeout"
    variant = document["paths"]["/api/v1/images/{image_id}/variants/{type}"]["get"]
    assert "410" in variant["responses"]


def test_allowed_origins_may_read_responses_and_errors():
    headers = {"Origin": "https://a.example"}
    for path in ("/health", "/api/v1/images"):  # the second one fails
        response = call("GET", path, origins=["https://a.example"], headers=headers)
        assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "Access-Control-Allow-Origin" not in call("GET", "/health", headers=headers).headers


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/images", {"GET", "HEAD", "POST"}),
        ("/api/v1/uploads", {"POST"}),
        (IMAGE, {"GET", "HEAD", "DELETE"}),
        (f"{IMAGE}/events", {"GET", "HEAD"}),
        (f"{IMAGE}/variants/thumbnail", {"GET", "HEAD"}),
        ("/upload-image/", {"POST"}),
        ("/livez", {"GET", "HEAD"}),
        ("/docs", {"GET", "HEAD"}),
        ("/static-offline-docs/swagger-ui.css", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_answered_with_the_allowed_ones(path, methods):
    for wrong in {"PUT", "PATCH", "HEAD", "DELETE", "POST"} - methods:
        response = call(wrong, path)
        assert response.status_code == 405
        assert set(response.headers["Allow"].split(", ")) == methods | {"OPTIONS"}
        if wrong != "HEAD":
            assert response.json()["code"] == "method_not_allowed"
    response = call("OPTIONS", path)
    assert (response.status_code, response.content) == (204, b"")
    assert set(response.headers["Allow"].split(", ")) == methods | {"OPTIONS"}


@pytest.mark.parametrize("path", ["/", "/livez", "/docs", "/openapi.json", "/nothing", "/api/v1/images/not-an-id"])
def test_head_equals_get_without_the_body(path, logged):
    get, head = call("GET", path), call("HEAD", path)
    assert (head.status_code, dict(head.headers)) == (get.status_code, dict(get.headers))
    assert head.content == b""
    assert [line["method"] for line in logged if line["event"] == "request"] == ["GET", "HEAD"]


# Headers that are sent by axios, Dropzone, FilePond, Fine Uploader, jQuery File Upload, tus, Uppy.
WIDGETS = (
    "x-requested-with,cache-control,content-disposition,content-range,range,if-none-match,x-api-key,authorization,"
    "content-type,accept,pragma,upload-length,upload-offset,upload-name,upload-metadata,tus-resumable,x-file-name,"
    "x-mime-type,x-xsrf-token,x-csrf-token,traceparent,tracestate,sentry-trace,baggage"
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_pages_of_allowed_origins_may_send_the_headers_of_upload_widgets(method):
    headers = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": WIDGETS,
    }
    response = call("OPTIONS", "/api/v1/images", origins=["https://a.example"], keys=["right"], headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert set(WIDGETS.split(",")) <= set(response.headers["Access-Control-Allow-Headers"].split(","))
    assert method in response.headers["Access-Control-Allow-Methods"]
    for origins in ([], ["https://b.example"]):
        response = call("OPTIONS", "/api/v1/images", origins=origins, headers=headers)
        assert "Access-Control-Allow-Origin" not in response.headers


def test_pages_of_allowed_origins_may_read_the_headers_of_responses():
    response = call("GET", "/livez", origins=["https://a.example"], headers={"Origin": "https://a.example"})
    exposed = set(response.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"Content-Disposition", "ETag", "Location", "Retry-After"} <= exposed
    assert "Origin" in response.headers["Vary"]
    assert (
        "Origin" in call("GET", "/livez", origins=["https://a.example"]).headers["Vary"]
    )  # or a cache mixes them up


def test_the_api_docs_load_nothing_from_other_hosts():
    page = call("GET", "/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) >= 3
    for address in loaded:
        assert address.startswith("/"), address
        assert call("GET", address).status_code == 200
