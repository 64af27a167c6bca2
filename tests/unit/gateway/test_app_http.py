"""Hosts, origins, methods and the API docs: responses of the application that need no server."""

import json
import re

import pytest

from tests.unit.gateway.app_client import IMAGE, IMAGE_FILE, call


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
    assert examples["storage_timeout"] == {"$ref": "#/components/examples/storage_timeout"}
    assert document["components"]["examples"]["storage_timeout"]["value"]["code"] == "storage_timeout"
    assert "storage_timeout" in document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    references = set(re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(document)))
    assert not {(kind, name) for kind, name in references if name not in document["components"][kind]}
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
