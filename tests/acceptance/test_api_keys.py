"""API keys of the gateway."""

from tests.support.images import photo
from tests.support.services import free_port
from tests.support.system import ORIGINALS, problem


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
