"""The application without its servers: what it answers before it would need one."""

import asyncio
import re

import httpx
import pytest
from structlog.testing import capture_logs

from tests.unit.gateway.fakes import FakeStorage, Parts, uploads_into
from thumbmill.gateway.api.app import create_app
from thumbmill.gateway.auth import ApiKeys
from thumbmill.gateway.problems import Code, Problem

PICTURE = {"file": ("cat.jpg", b"\xff\xd8\xff\xe0 picture")}


@pytest.fixture(autouse=True)
def logged():
    with capture_logs() as lines:
        yield lines


class Broken:
    async def page(self, *_):
        raise RuntimeError("a bug")


class Ready:
    async def ask(self):
        return {}, {}


class AdmissionControl:
    def __init__(self, *, is_long):
        self.is_long = is_long

    def check_capacity(self, door):
        if self.is_long:
            raise Problem(Code.TOO_MANY_WAITING, door)


def call(
    method,
    path,
    *,
    keys=(),
    origins=(),
    is_backlog_long=False,
    stuck="",
    public_url="",
    proxies=(),
    monitoring_key="",
    **request,
):
    async def run():
        with uploads_into(FakeStorage()) as uploads:
            app = create_app(
                Parts(
                    settings=Parts(
                        public_url=public_url,
                        origins=list(origins),
                        proxies=list(proxies),
                        hosts=frozenset({"here"}),
                        trusted_origins=frozenset(origins),
                    ),
                    api_keys=ApiKeys(keys, monitoring_key),
                    admission=AdmissionControl(is_long=is_backlog_long),
                    uploads=uploads,
                    repository=Broken(),
                    liveness=Parts(error=stuck),
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
    answer = call("POST", "/api/v1/images", files=PICTURE)
    assert answer.status_code == 202
    assert answer.json()["status"] == "PENDING"
    assert answer.headers["Location"] == f"http://here/api/v1/images/{answer.json()['id']}"


def test_the_older_interface():
    answer = call("POST", "/upload-image/", files=PICTURE)
    assert answer.status_code == 200
    assert set(answer.json()) == {"id", "filename", "bucket", "key", "status"}
    assert answer.json()["filename"] == "cat.jpg"
    assert call("POST", "/upload-image", files=PICTURE).status_code == 200


@pytest.mark.parametrize(
    ("path", "door"), [("/api/v1/images", "upload"), ("/upload-image/", "upload"), ("/api/v1/uploads", "ticket")]
)
def test_while_too_much_waits_nothing_new_is_taken(path, door):
    answer = call("POST", path, is_backlog_long=True, **({"json": {}} if door == "ticket" else {"files": PICTURE}))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert (answer.json()["code"], answer.json()["detail"]) == ("too_many_waiting", door)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"files": {"file": b"text, not a picture"}}, "unsupported_format"),
        ({"files": {"file": b""}}, "empty_file"),
        ({"files": {"picture": b"x"}}, "missing_file"),
        ({"json": {}}, "unsupported_content_type"),
    ],
)
def test_in_the_older_interface_every_fault_of_an_upload_is_a_400(request_, code):
    answer = call("POST", "/upload-image/", **request_)
    assert answer.status_code == 400
    assert (answer.json()["status"], answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/api/v1/images", 405, "method_not_allowed"),
        ("GET", "/api/v1/images/nobody", 422, "invalid_request"),
        ("GET", "/api/v1/images?limit=201", 422, "invalid_request"),
        ("GET", "/api/v1/images?limit=201&statsu=DONE", 400, "unknown_parameter"),
        ("GET", "/api/v1/images?status=SOME", 422, "invalid_request"),
        ("GET", "/api/v1/images?cursor=x", 422, "invalid_request"),
        ("GET", "/api/v1/images", 500, "internal_error"),
        ("POST", "/api/v1/uploads", 422, "invalid_request"),
    ],
)
def test_every_fault_is_a_problem(method, path, status, code):
    answer = call(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert "a bug" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/api/v1/images?Status=DONE&x[]=1", "Status, x[]: it knows cursor, deleted, key, limit, status"),
        ("POST", "/api/v1/images?file_name=a.jpg", "file_name: it knows none"),
        ("POST", "/api/v1/uploads?content_type=image/png", "content_type: it knows none"),
        ("GET", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f?v=1", "v: it knows none"),
        ("HEAD", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f/events?limit=1", "limit: it knows none"),
        ("GET", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f/variants/small?size=9", "size: it knows v"),
        ("DELETE", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f?force", "force: it knows none"),
    ],
)
def test_a_parameter_that_an_address_does_not_know_is_named(method, path, detail):
    answer = call(method, path)
    assert answer.status_code == 400
    if method != "HEAD":
        assert (answer.json()["code"], answer.json()["detail"]) == ("unknown_parameter", detail)
    assert call(method, path, keys=["right"]).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/images"),
        ("POST", "/upload-image/"),
        ("POST", "/api/v1/uploads"),
        ("GET", "/api/v1/images"),
        ("GET", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f"),
        ("GET", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f/events"),
        ("GET", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f/variants/original"),
        ("DELETE", "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_without_a_key_nothing_opens(method, path, headers):
    answer = call(method, path, keys=["right"], headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", [{"X-API-Key": "right"}, {"Authorization": "Bearer right"}])
def test_with_a_key_the_api_opens(headers):
    assert (
        call("POST", "/api/v1/images", keys=["other", "right"], headers=headers, files=PICTURE).status_code == 202
    )


def test_a_gateway_that_only_a_restart_helps_says_so():
    assert call("GET", "/livez").json() == {"status": "ok"}
    answer = call("GET", "/livez", stuck="no connection")
    assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "error": "no connection"})


@pytest.mark.parametrize("path", ["/health", "/livez"])
def test_probes_need_no_key(path):
    assert call("GET", path, keys=["right"]).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/readyz"])
def test_what_is_for_operators_needs_a_key_where_there_are_keys(path):
    def sees(**options):
        answer = call("GET", path, **options)
        return answer.is_success and (path != "/readyz" or "unavailable" in answer.json())

    keys = {"keys": ["right"], "monitoring_key": "watch"}
    assert sees()
    assert not sees(**keys)
    assert not sees(monitoring_key="watch")
    for key, seen in (("right", True), ("watch", True), ("wrong", False)):
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert sees(headers=headers, **keys) == seen
        assert sees(auth=("anybody", key), **keys) == seen
    assert not sees(headers={"Authorization": "Basic =="}, **keys)


def test_a_browser_asks_for_the_key_of_the_documentation():
    assert call("GET", "/docs", keys=["right"]).headers["WWW-Authenticate"].startswith("Basic")


def test_the_key_for_watching_opens_no_image():
    headers = {"X-API-Key": "watch"}
    assert call("GET", "/api/v1/images", keys=["right"], monitoring_key="watch", headers=headers).status_code == 401


def test_pages_that_come_under_another_name_are_refused():
    """DNS rebinding: a page of rebound.example is of the same origin as we, by its name."""
    headers = {"Host": "rebound.example:8000", "Sec-Fetch-Site": "same-origin"}
    for method, path in (("GET", "/api/v1/images"), ("POST", "/api/v1/images"), ("GET", "/metrics"), ("GET", "/")):
        answer = call(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (421, "wrong_host")


def test_pages_of_another_origin_change_nothing_unless_they_are_named():
    foreign = {"Origin": "http://else.example", "Sec-Fetch-Site": "cross-site"}
    for path in ("/api/v1/images", "/upload-image/"):
        answer = call("POST", path, files=PICTURE, headers=foreign)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
        answer = call("POST", path, files=PICTURE, headers=foreign, origins=["http://else.example"])
        assert answer.is_success
        assert answer.headers["Access-Control-Allow-Origin"] == "http://else.example"
    assert call("GET", "/livez", headers=foreign).status_code == 200


def test_who_does_not_wait_for_a_body_closes_the_connection():
    """Whoever expected 100 Continue and got an answer may send the body, or the next request."""
    expecting = {"Expect": "100-continue"}
    assert call("POST", "/nothing", content=b"x", headers=expecting).headers["Connection"] == "close"
    assert "Connection" not in call("POST", "/api/v1/images", files=PICTURE, headers=expecting).headers
    assert "Connection" not in call("POST", "/nothing", content=b"x").headers


def test_the_description_names_problems_with_examples():
    described = call("GET", "/openapi.json").json()
    upload = described["paths"]["/api/v1/images"]["post"]
    assert set(upload["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    assert {"202", "400", "401", "413", "415", "503"} <= set(upload["responses"])
    examples = upload["responses"]["503"]["content"]["application/problem+json"]["examples"]
    assert examples["storage_timeout"]["value"]["code"] == "storage_timeout"
    variant = described["paths"]["/api/v1/images/{image_id}/variants/{type}"]["get"]
    assert "410" in variant["responses"]


def test_listed_origins_may_read_answers_and_failures():
    headers = {"Origin": "https://a.example"}
    for path in ("/health", "/api/v1/images"):  # the second one fails
        answer = call("GET", path, origins=["https://a.example"], headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "Access-Control-Allow-Origin" not in call("GET", "/health", headers=headers).headers


IMAGE = "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f"


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
def test_a_wrong_method_is_told_all_right_ones(path, methods):
    for wrong in {"PUT", "PATCH", "HEAD", "DELETE", "POST"} - methods:
        answer = call(wrong, path)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == methods | {"OPTIONS"}
        if wrong != "HEAD":
            assert answer.json()["code"] == "method_not_allowed"
    answer = call("OPTIONS", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer.headers["Allow"].split(", ")) == methods | {"OPTIONS"}


@pytest.mark.parametrize("path", ["/", "/livez", "/docs", "/openapi.json", "/nothing", "/api/v1/images/nobody"])
def test_head_gives_what_get_gives_but_the_body(path, logged):
    given, seen = call("GET", path), call("HEAD", path)
    assert (seen.status_code, dict(seen.headers)) == (given.status_code, dict(given.headers))
    assert seen.content == b""
    assert [line["method"] for line in logged if line["event"] == "request"] == ["GET", "HEAD"]


# What stands in the requests of axios, Dropzone, FilePond, Fine Uploader, jQuery File Upload, tus, Uppy.
WIDGETS = (
    "x-requested-with,cache-control,content-disposition,content-range,range,if-none-match,x-api-key,authorization,"
    "content-type,accept,pragma,upload-length,upload-offset,upload-name,upload-metadata,tus-resumable,x-file-name,"
    "x-mime-type,x-xsrf-token,x-csrf-token,traceparent,tracestate,sentry-trace,baggage"
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_pages_of_listed_origins_may_send_what_upload_widgets_send(method):
    headers = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": WIDGETS,
    }
    answer = call("OPTIONS", "/api/v1/images", origins=["https://a.example"], keys=["right"], headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert set(WIDGETS.split(",")) <= set(answer.headers["Access-Control-Allow-Headers"].split(","))
    assert method in answer.headers["Access-Control-Allow-Methods"]
    for origins in ([], ["https://b.example"]):
        answer = call("OPTIONS", "/api/v1/images", origins=origins, headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_pages_of_listed_origins_may_read_what_answers_say():
    answer = call("GET", "/livez", origins=["https://a.example"], headers={"Origin": "https://a.example"})
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"Content-Disposition", "ETag", "Location", "Retry-After"} <= exposed
    assert "Origin" in answer.headers["Vary"]
    assert (
        "Origin" in call("GET", "/livez", origins=["https://a.example"]).headers["Vary"]
    )  # or a cache mixes them up


def test_the_documentation_needs_nothing_from_elsewhere():
    page = call("GET", "/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) >= 3
    for address in loaded:
        assert address.startswith("/"), address
        assert call("GET", address).status_code == 200
