"""API keys of the gateway."""

import re

from tests.support.images import photo
from tests.support.operator_cli import thumbmill
from tests.support.services import free_port
from tests.support.sse import read_events
from tests.support.system import ORIGINALS, problem
from tests.support.waiting import wait_until


def test_a_gateway_on_a_public_address_requires_keys(system):
    code, output = system.run_to_end("gateway", GATEWAY_HOST="0.0.0.0", GATEWAY_PORT=free_port())
    assert code == 2, output
    assert "API_KEYS" in output
    assert "ALLOW_ANONYMOUS" in output


def test_only_valid_keys_give_access_to_the_api(system):
    calls = [
        ("GET", "/api/v1/images", {}),
        ("POST", "/api/v1/images", {"files": {"file": ("photo.jpg", photo())}}),
        ("POST", "/api/v1/uploads", {"json": {"content_type": "image/jpeg"}}),
        ("POST", "/upload-image/", {"files": {"file": ("photo.jpg", photo())}}),
    ]
    one = f"/api/v1/images/{system.wait_status(system.post_form(photo())['id'])['id']}"
    calls += [("GET", f"{one}{rest}", {}) for rest in ("", "/events", "/variants/original", "/variants/thumbnail")]
    with system.restarted("gateway", API_KEYS="first-key, second-key"):
        before = system.keys(ORIGINALS)
        wrong = [{}, {"X-API-Key": "third-key"}, {"X-API-Key": "first-key,second-key"}, {"X-API-Key": ""},
                 {"Authorization": "Bearer first-ke"}, {"Authorization": "Basic first-key"}]  # fmt: skip
        for method, path, content in [*calls, ("DELETE", one, {})]:
            for headers in wrong:
                answer = system.http.request(method, path, headers=headers, **content)
                assert problem(answer, 401) == "unauthorized"
                assert answer.headers["www-authenticate"]
        assert system.keys(ORIGINALS) == before
        right = [{"X-API-Key": "first-key"}, {"X-API-Key": "second-key"}, {"Authorization": "Bearer second-key"}]
        for method, path, content in calls:
            for headers in right:
                assert system.http.request(method, path, headers=headers, **content).is_success
        for path in ("/health", "/livez", "/readyz"):
            assert system.http.get(path).status_code == 200
        private = system.http.get(f"{one}/variants/thumbnail", headers=right[0])
        assert "private" in private.headers["cache-control"]
        assert system.http.delete(one, headers=right[0]).status_code == 202


def make_key(system, *options):
    """Create a key or rotate one, and return the key and its id."""
    [key] = re.findall(r"tm_live_\w{10}_\w{49}", thumbmill(system, "keys", *options))
    return key, key.split("_")[2]


def test_a_key_of_the_database_allows_what_its_scopes_say_until_it_is_revoked(system):
    one = f"/api/v1/images/{system.wait_status(system.post_form(photo())['id'])['id']}"
    form = {"file": ("photo.jpg", photo())}

    def status(key, method="GET", path=one, **content):
        return system.http.request(method, path, headers={"X-API-Key": key}, **content).status_code

    with system.restarted("gateway", ALLOW_ANONYMOUS="false"):
        assert problem(system.http.get(one), 401) == "unauthorized"
        reader, reader_id = make_key(system, "create", "--name", "a reader", "--scope", "read")
        writer, writer_id = make_key(system, "create", "--name", "a writer", "--scope", "upload,delete")
        wait_until(lambda: status(writer, "POST", "/api/v1/images", files=form) == 202, 5, "the keys are known")
        assert status(reader) == 200
        assert (status(reader, "POST", "/api/v1/images", files=form), status(writer)) == (403, 403)
        answer = system.http.delete(one, headers={"X-API-Key": reader})
        assert problem(answer, 403) == "insufficient_scope"
        assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="delete"'
        assert status(reader, path="/metrics") == 403
        wrong = reader[:-1] + ("a" if reader[-1] != "a" else "b")
        assert status(wrong) == 401

        cookie = system.http.post("/api/v1/session", json={"key": reader}).headers["set-cookie"].partition(";")[0]
        system.http.cookies.clear()
        with system.http.stream("GET", "/api/v1/stream", headers={"Cookie": cookie}, timeout=30) as stream:
            lines = stream.iter_lines()
            assert next(read_events(lines)).type == "hello"
            successor, successor_id = make_key(system, "rotate", reader_id, "--overlap", "1h")
            wait_until(lambda: status(successor) == 200, 5, "the successor is known")
            assert status(reader) == 200
            thumbmill(system, "keys", "revoke", reader_id)
            wait_until(lambda: status(reader) == 401, 5, "the key is rejected")
            assert system.http.get(one, headers={"Cookie": cookie}).status_code == 401
            list(lines)  # the stream ends before the time is over in which something has to arrive
        assert status(successor) == 200
        with system.stopped("postgres"):
            assert status(writer, "POST", "/api/v1/images", files=form) == 202
        for key_id in (writer_id, successor_id):
            thumbmill(system, "keys", "revoke", key_id)
    history = thumbmill(system, "keys", "history", reader_id)
    assert [word for word in history.split() if word in {"created", "rotated", "revoked"}] == [
        "created",
        "rotated",
        "revoked",
    ]
    assert history.count("cli:ada") == 3
    assert reader_id in thumbmill(system, "keys", "list", "--all")
    assert reader_id not in thumbmill(system, "keys", "list", code=3)
