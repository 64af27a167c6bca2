import re

import pytest

from tests.unit.gateway.test_app import IMAGE_FILE, call, logged  # noqa: F401 - its fixture

HERE = "127.0.0.1"  # from where httpx says it asks
IMAGE = "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f"


def location(path="/api/v1/images", proxies=(HERE,), public_url="", **headers):
    """Where an upload says that its image is, but for the id."""
    headers = {f"X-Forwarded-{name}": value for name, value in headers.items()}
    answer = call("POST", path, proxies=proxies, public_url=public_url, headers=headers, files=IMAGE_FILE)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"].removesuffix(answer.json()["id"])


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://here"),
        ({"Proto": "https"}, "https://here"),
        ({"Host": "pictures.example"}, "http://pictures.example"),
        ({"Proto": "HTTPS", "Host": "pictures.example"}, "https://pictures.example"),
        ({"Proto": "https", "Host": "pictures.example", "Port": "443"}, "https://pictures.example"),
        ({"Proto": "https", "Host": "pictures.example", "Port": "8443"}, "https://pictures.example:8443"),
        ({"Proto": "https", "Host": "pictures.example:8443", "Port": "1"}, "https://pictures.example:8443"),
        ({"Host": "[2001:db8::1]:8443"}, "http://[2001:db8::1]:8443"),
        ({"Host": "[2001:db8::1]", "Port": "81"}, "http://[2001:db8::1]:81"),
        ({"Proto": "https, http", "Host": "a.example, b.example", "Prefix": "/x, /y"}, "https://a.example/x"),
        ({"Prefix": "/thumbs"}, "http://here/thumbs"),
        ({"Prefix": "/thumbs/"}, "http://here/thumbs"),
        ({"Prefix": "/a/b.c"}, "http://here/a/b.c"),
        ({"Prefix": "/api"}, "http://here/api"),
        ({"Prefix": "/"}, "http://here"),
        # What makes no sense is passed over.
        ({"Proto": "ftp"}, "http://here"),
        ({"Host": "a b", "Proto": "https"}, "https://here"),
        ({"Host": "evil.example/x?"}, "http://here"),
        ({"Prefix": "//evil.example"}, "http://here"),
        ({"Prefix": "/a/../b"}, "http://here"),
        ({"Prefix": "thumbs"}, "http://here"),
        ({"Port": "x", "Host": "a.example"}, "http://a.example"),
    ],
)
def test_a_trusted_proxy_says_where_clients_are(headers, base):
    assert location(**headers) == f"{base}/api/v1/images/"


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8", "::1")])
def test_nobody_else_does(proxies):
    assert (
        location(proxies=proxies, Proto="https", Host="evil.example", Prefix="/evil")
        == "http://here/api/v1/images/"
    )


@pytest.mark.parametrize("proxies", [("127.0.0.0/8",), ("*",), ("10.0.0.1", "127.0.0.1")])
def test_proxies_are_addresses_or_networks_or_all(proxies):
    assert location(proxies=proxies, Prefix="/thumbs") == "http://here/thumbs/api/v1/images/"


def test_the_public_url_decides():
    assert (
        location(public_url="https://p.example", Host="evil.example", Prefix="/x")
        == "https://p.example/api/v1/images/"
    )
    assert location(public_url="https://p.example/thumbs", Prefix="/x") == "https://p.example/thumbs/api/v1/images/"


BEHIND = [
    {"public_url": "https://p.example/thumbs"},
    {"proxies": [HERE], "headers": {"X-Forwarded-Prefix": "/thumbs"}},
]


@pytest.mark.parametrize("behind", BEHIND, ids=["PUBLIC_URL", "header"])
@pytest.mark.parametrize("left", ["", "/thumbs"], ids=["taken off", "left on"])
def test_everything_is_found_below_a_prefix(behind, left):
    assert call("GET", f"{left}/", **behind).headers["Location"] == "/thumbs/docs"
    page = call("GET", f"{left}/docs", **behind).text
    assert "/thumbs/openapi.json" in page
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/thumbs/"), address
        assert call("GET", left + address.removeprefix("/thumbs"), **behind).status_code == 200
    assert call("GET", f"{left}/openapi.json", **behind).json()["servers"] == [{"url": "/thumbs"}]
    assert call("HEAD", f"{left}/livez", **behind).status_code == 200
    assert call("PUT", f"{left}{IMAGE}", **behind).headers["Allow"] == "GET, DELETE, HEAD, OPTIONS"
    assert call("GET", f"{left}/nothing", **behind).status_code == 404


def test_a_prefix_like_the_beginning_of_our_own_paths():
    for path in ("/api/v1/images", "/api/api/v1/images"):
        assert location(path, Prefix="/api") == "http://here/api/api/v1/images/"
