"""The web console as the gateway serves it."""

import gzip

import pytest

from tests.unit.gateway.app_client import call
from tests.unit.gateway.fakes import Namespace
from thumbmill.gateway.web_console import Console, policy, read_files

INDEX = b'<script src="./assets/index-1a2b.js"></script>'
SCRIPT = b"console.log('here')" * 100
FILES = {"index.html": INDEX, "assets/index-1a2b.js": SCRIPT, "favicon.svg": b"<svg/>"}
CONSOLE = Console(FILES, content_security_policy="default-src 'none'")


def get(path, **options):
    return call("GET", path, console=CONSOLE, **options)


@pytest.mark.parametrize("path", ["/ui/", "/ui/index.html", "/ui/failures", "/ui/images/0193a2b4", "/ui/a/b?c=d"])
def test_the_page_is_returned_for_every_address_of_its_router(path):
    response = get(path)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert response.content == INDEX.replace(b"./", b"/ui/")
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/ui/assets/index-old.js", "/ui/assets/", "/ui/robots.txt", "/ui/../secret.env"])
def test_a_missing_file_is_not_the_page(path):
    response = get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_hashed_files_are_cached_forever_and_others_are_revalidated():
    asset, icon = get("/ui/assets/index-1a2b.js"), get("/ui/favicon.svg")
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert icon.headers["Cache-Control"] == "no-cache"
    for etag in (icon.headers["ETag"], f"W/{icon.headers['ETag']}"):  # weak: after a proxy that compresses
        again = get("/ui/favicon.svg", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")


def test_a_file_is_compressed_for_clients_that_accept_it():
    plain = get("/ui/assets/index-1a2b.js", headers={"Accept-Encoding": "identity"})
    packed = get("/ui/assets/index-1a2b.js", headers={"Accept-Encoding": "gzip, br"})
    assert plain.content == packed.content == SCRIPT
    assert (plain.headers.get("Content-Encoding"), packed.headers["Content-Encoding"]) == (None, "gzip")
    assert int(packed.headers["Content-Length"]) == len(gzip.compress(SCRIPT, mtime=0))
    assert {plain.headers["Vary"], packed.headers["Vary"]} == {"Accept-Encoding"}


@pytest.mark.parametrize("path", ["/ui/", "/ui/favicon.svg", "/ui/assets/index-1a2b.js"])
def test_every_file_has_the_policy_and_needs_no_key(path):
    response = get(path, keys=["right"])
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == "default-src 'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_behind_a_prefix_the_page_finds_its_files():
    response = get("/ui/", public_url="http://here/photos")
    assert response.content == INDEX.replace(b"./", b"/photos/ui/")


@pytest.mark.parametrize(("console", "target"), [(CONSOLE, "/ui/"), (None, "/docs")])
def test_the_root_leads_to_the_console_or_else_to_the_docs(console, target):
    response = call("GET", "/", console=console)
    assert (response.status_code, response.headers["Location"]) == (307, target)
    assert call("GET", "/ui", console=console).headers["Location"] == "/ui/"


@pytest.mark.parametrize("path", ["/ui/", "/ui/failures", "/ui/assets/index-1a2b.js"])
def test_a_gateway_without_the_console_says_what_to_do(path):
    response = call("GET", path, console=None, keys=["right"])
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert "Run `make web`, then restart the gateway." in response.text


def test_the_policy_allows_the_page_itself_and_uploads_to_minio():
    settings = Namespace(public_url="https://img.example/photos", form_url="http://127.0.0.1:9000")
    directives = dict(part.split(" ", 1) for part in policy(settings).split("; "))
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["connect-src"].split() == ["'self'", "http://127.0.0.1:9000"]
    assert directives["img-src"].split() == ["'self'", "blob:", "https://img.example"]
    others = {"default-src", "form-action", "base-uri", "frame-ancestors"}
    assert {directives[name] for name in others} == {"'none'"}


def test_files_are_read_with_their_folders(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(INDEX)
    (tmp_path / "assets" / "a.js").write_bytes(SCRIPT)
    assert read_files(tmp_path) == {"index.html": INDEX, "assets/a.js": SCRIPT}
    assert read_files(tmp_path / "missing") == {}
