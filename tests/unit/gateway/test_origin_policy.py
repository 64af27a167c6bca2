import pytest

from thumbmill.gateway.http.origin_policy import is_allowed_host, is_cross_origin_write

ALLOWED_HOSTS = frozenset({"images.example.org"})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "app.localhost", "127.0.0.1:8000", "[::1]:8000", "[::1]", "192.168.1.5",
     "images.example.org", "Images.Example.org.:443", "gateway:8000", "my-machine", "thumbmill_gateway.:80"],
)  # fmt: skip
def test_allowed_hosts(host):
    assert is_allowed_host(host, ALLOWED_HOSTS)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "images.example.org.evil", "localhost.com",
     "x.images.example.org", "127.1", "0x7f000001", "user@localhost", "localhost/", "localhost:80:80", "[::1",
     "[evil.example]", "", "a b"],
)  # fmt: skip
def test_other_hosts_are_rejected(host):
    assert not is_allowed_host(host, ALLOWED_HOSTS)


@pytest.mark.parametrize(
    ("expected", "headers"),
    [
        (False, {}),  # no browser
        (False, {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}),
        (False, {"sec-fetch-site": "none"}),
        (True, {"sec-fetch-site": "cross-site"}),
        (True, {"sec-fetch-site": "cross-site", "origin": "null"}),
        (True, {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"}),
        (True, {"sec-fetch-site": "something new"}),
        (True, {"origin": "http://evil.example"}),
        (True, {"origin": "null"}),
        (True, {"origin": "http://127.0.0.1:3000"}),
        (False, {"origin": "http://127.0.0.1:8000"}),
        (False, {"sec-fetch-site": "cross-site", "origin": "https://App.example"}),
        (True, {"sec-fetch-site": "cross-site", "origin": "http://app.example"}),
        (True, {"sec-fetch-site": "cross-site", "origin": "https://app.example.evil"}),
    ],
)
def test_cross_origin_writes(expected, headers):
    headers = {"host": "127.0.0.1:8000", **headers}
    trusted = {"https://app.example"}
    for method in ("POST", "DELETE", "PUT", "PATCH", "SURPRISE"):
        assert is_cross_origin_write(method, headers, trusted) == expected
    for method in ("GET", "HEAD", "OPTIONS"):
        assert not is_cross_origin_write(method, headers, trusted)
    assert not is_cross_origin_write("POST", headers, {"*"})
