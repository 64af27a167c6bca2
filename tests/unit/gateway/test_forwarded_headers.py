import re

import pytest

from tests.unit.gateway.app_client import IMAGE_FILE, call

HERE = "127.0.0.1"  # the client address in httpx's ASGI transport
IMAGE = "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f"


def location(path="/api/v1/images", proxies=(HERE,), public_url="", **headers):
    """Return the Location of an upload without the image id."""
    headers = {f"X-Forwarded-{name}": value for name, value in headers.items()}
    answer = call("POST", path, proxies=proxies, public_url=public_url, headers=headers, files=IMAGE_FILE)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"].removesuffix(answer.json()["id"])


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://here"),
        ({"Proto": "https"}, "https://here"),
        ({"Host": "images.example"}, "http://images.example"),
        ({"Proto": "HTTPS", "Host": "images.example"}, "https://images.example"),
        ({"Proto": "https", "Host": "images.example", "Port": "443"}, "https://images.example"),
        ({"Proto": "https", "Host": "images.example", "Port": "8443"}, "https://images.example:8443"),
        ({"Proto": "https", "Host": "images.example:8443", "Port": "1"}, "https://images.example:8443"),
        ({"Host": "[2001:db8::1]:8443"}, "http://[2001:db8::1]:8443"),
        ({"Host": "[2001:db8::1]", "Port": "81"}, "http://[2001:db8::1]:81"),
        ({"Proto": "https, http", "Host": "a.example, b.example", "Prefix": "/x, /y"}, "https://a.example/x"),
        ({"Prefix": "/thumbs"}, "http://here/thumbs"),
        ({"Prefix": "/thumbs/"}, "http://here/thumbs"),
        ({"Prefix": "/a/b.c"}, "http://here/a/b.c"),
        ({"Prefix": "/api"}, "http://here/api"),
        ({"Prefix": "/"}, "http://here"),
        # Invalid values are skipped.
        ({"Proto": "ftp"}, "http://here"),
        ({"Host": "a b", "Proto": "https"}, "https://here"),
        ({"Host": "attacker.example/x?"}, "http://here"),
        ({"Prefix": "//attacker.example"}, "http://here"),
        ({"Prefix": "/a/../b"}, "http://here"),
        ({"Prefix": "thumbs"}, "http://here"),
        ({"Port": "x", "Host": "a.example"}, "http://a.example"),
    ],
)
def test_headers_of_a_trusted_proxy_are_applied(headers, base):
    assert location(**headers) == f"{base}/api/v1/images/"


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8", "::1")])
def test_headers_of_other_clients_are_ignored(proxies):
    assert (
        location(proxies=proxies, Proto="https", Host="attacker.example", Prefix="/evil")
        == "http://here/api/v1/images/"
    )


@pytest.mark.parametrize("proxies", [("127.0.0.0/8",), ("*",), ("10.0.0.1", "127.0.0.1")])
def test_proxies_are_addresses_or_networks_or_all(proxies):
    assert location(proxies=proxies, Prefix="/thumbs") == "http://here/thumbs/api/v1/images/"


def test_public_url_overrides_the_headers():
    assert (
        location(public_url="https://p.example", Host="attacker.example", Prefix="/x")
        == "https://p.example/api/v1/images/"
    )
    assert location(public_url="https://p.example/thumbs", Prefix="/x") == "https://p.example/thumbs/api/v1/images/"


BEHIND_PROXY = [
    {"public_url": "https://p.example/thumbs"},
    {"proxies": [HERE], "headers": {"X-Forwarded-Prefix": "/thumbs"}},
]


@pytest.mark.parametrize("proxy", BEHIND_PROXY, ids=["PUBLIC_URL", "header"])
@pytest.mark.parametrize("prefix", ["", "/thumbs"], ids=["prefix removed", "prefix kept"])
def test_every_page_works_below_a_prefix(proxy, prefix):
    assert call("GET", f"{prefix}/", **proxy).headers["Location"] == "/thumbs/docs"
    page = call("GET", f"{prefix}/docs", **proxy).text
    assert "/thumbs/openapi.json" in page
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/thumbs/"), address
        assert call("GET", prefix + address.removeprefix("/thumbs"), **proxy).status_code == 200
    assert call("GET", f"{prefix}/openapi.json", **proxy).json()["servers"] == [{"url": "/thumbs"}]
    assert call("HEAD", f"{prefix}/livez", **proxy).status_code == 200
    assert call("PUT", f"{prefix}{IMAGE}", **proxy).headers["Allow"] == "GET, DELETE, HEAD, OPTIONS"
    assert call("GET", f"{prefix}/nothing", **proxy).status_code == 404


def test_a_prefix_that_equals_the_start_of_the_api_paths():
    for path in ("/api/v1/images", "/api/api/v1/images"):
        assert location(path, Prefix="/api") == "http://here/api/api/v1/images/"
