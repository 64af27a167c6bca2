"""API keys and sessions: who has access, as whom, and until when."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.gateway.access_fakes import authenticator, make_key, stored
from tests.unit.gateway.app_client import call
from thumbmill.gateway.access.principal import ALL_SCOPES, ANONYMOUS, MONITORING, Client, Scope
from thumbmill.gateway.access.sessions import SESSION_LIFETIME
from thumbmill.gateway.problems import Code, Problem

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
KEY, OTHER = make_key(), make_key()
MISTYPED = KEY.text[:-1] + ("a" if KEY.text[-1] != "a" else "b")


def name_of(client):
    return client.principal.name if client else None


def open_session(access, text):
    return access.sessions.open(access.find_key(text, NOW), NOW)


def test_each_static_key_is_accepted_with_all_scopes():
    access = authenticator(["first", "second"])
    principals = [access.identify(text, (), NOW).principal for text in ("first", "second")]
    assert len({principal.name for principal in principals}) == 2
    for principal in principals:
        assert (principal.scopes, principal.tenant, principal.key_id) == (ALL_SCOPES, "", principal.name)


@pytest.mark.parametrize("key", ["", "firs", "first ", "FIRST", "first,second", "\udcff"])
def test_every_other_key_is_rejected(key):
    access = authenticator(["first", "second"], known=[stored(OTHER)])
    assert [text for text in (key, KEY.text, MISTYPED) if access.identify(text, (), NOW)] == []


def test_a_static_key_is_compared_with_all_keys_even_after_a_match(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "thumbmill.gateway.access.keys.hmac.compare_digest", lambda a, b: compared.append(b) or a == b
    )
    assert authenticator(["first", "second", "third"]).find_key("first", NOW)
    assert len(compared) == 3


def test_a_key_of_the_database_has_its_own_tenant_and_scopes():
    row = stored(KEY, tenant="acme", name="a camera", scopes=("upload", "read", "of a later version"))
    principal = authenticator(known=[row]).identify(KEY.text, (), NOW).principal
    assert (principal.name, principal.key_id, principal.tenant) == ("a camera", KEY.id, "acme")
    assert principal.scopes == {Scope.UPLOAD, Scope.READ}


@pytest.mark.parametrize(
    "ended",
    [{"revoked_at": NOW - timedelta(days=1)}, {"expires_at": NOW}, {"expires_at": NOW - timedelta(seconds=1)}],
)
def test_an_ended_key_is_rejected_with_its_sessions(ended):
    token, _ = open_session(authenticator(known=[stored(KEY)]), KEY.text)
    access = authenticator(known=[stored(KEY, **ended)])
    assert access.identify(KEY.text, (), NOW) is None
    assert access.identify("", [token], NOW) is None


def test_another_secret_with_the_id_of_a_key_is_rejected():
    access = authenticator(known=[stored(type(KEY)(KEY.id, OTHER.text))])
    assert access.identify(KEY.text, (), NOW) is None


def test_a_mistyped_key_is_not_looked_up():
    access = authenticator(known=None)
    assert access.identify(MISTYPED, (), NOW) is None
    with pytest.raises(Problem) as raised:
        access.identify(KEY.text, (), NOW)
    assert raised.value.code == Code.KEYS_UNKNOWN


def test_static_keys_work_while_the_database_cannot_be_read():
    access = authenticator(["first"], known=None)
    token, _ = open_session(access, "first")
    assert access.identify("first", (), NOW)
    assert access.identify("", [token], NOW)


@pytest.mark.parametrize("text", [OTHER.text, MISTYPED], ids=["another", "mistyped"])
def test_a_wrong_key_of_the_database_makes_nobody_anonymous(text):
    access = authenticator(known=[stored(KEY, name="a camera")], allows_anonymous=True)
    assert access.identify(text, (), NOW) is None
    assert name_of(access.identify(KEY.text, (), NOW)) == "a camera"
    for other in ("", "any"):
        assert access.identify(other, ["1.x.y"], NOW) == Client(ANONYMOUS)


def test_a_session_belongs_to_its_key_until_it_expires():
    access = authenticator(["first", "second"])
    token, expires_at = open_session(access, "second")
    assert expires_at == NOW + SESSION_LIFETIME
    expected = Client(access.find_key("second", NOW).principal, expires_at)
    assert access.identify("", [token], expires_at - timedelta(seconds=1)) == expected
    assert access.identify("", [token], expires_at) is None
    assert access.identify("", ["1.forged", token], NOW) == expected


def test_a_session_ends_no_later_than_its_key():
    token, expires_at = open_session(
        authenticator(known=[stored(KEY, expires_at=NOW + timedelta(hours=1))]), KEY.text
    )
    assert expires_at == NOW + timedelta(hours=1)
    assert name_of(authenticator(known=[stored(KEY)]).identify("", [token], NOW)) == "a program"


def test_every_gateway_with_the_secret_and_the_key_accepts_a_session_and_no_other():
    token, _ = open_session(authenticator(["first", "second"]), "second")
    assert authenticator(["second"], "watch").identify("", [token], NOW)
    for other in (authenticator(["first"]), authenticator([]), authenticator(["second"], shared="another")):
        assert other.identify("", [token], NOW) is None


def test_a_changed_token_opens_nothing():
    access = authenticator(["key", "other"], known=[stored(KEY)])
    token, _ = open_session(access, "key")
    expiry, key_id, signature = token.split(".")
    others = [access.find_key("other", NOW).id, KEY.id, ""]
    forged = [f"{int(expiry) + 1}.{key_id}.{signature}", f".{key_id}.{signature}", expiry, f"{expiry}..", "", "."]
    forged += [f"{expiry}.{other}.{signature}" for other in others]
    forged += [
        f"{expiry}.{key_id}.{changed}" for changed in (signature[:-1], f"{signature}0", signature.upper(), "é")
    ]
    forged += [f" {token}", f"{token}.", "\udcff.\udcff.\udcff", f"{expiry}.{signature}"]
    assert [one for one in forged if access.identify("", [one], NOW)] == []


def test_a_client_has_access_until_its_session_or_its_key_ends():
    rows = [stored(KEY)]
    client = authenticator(known=rows).identify(KEY.text, (), NOW)
    for known, expected in ((rows, True), ([stored(KEY, revoked_at=NOW)], False), ([], False)):
        assert authenticator(known=known).is_valid(client, NOW) == expected
    session = Client(client.principal, NOW + timedelta(hours=1))
    assert authenticator(known=rows).is_valid(session, NOW)
    assert not authenticator(known=rows).is_valid(session, NOW + timedelta(hours=1))
    assert authenticator(known=None).is_valid(Client(ANONYMOUS), NOW)
    static = authenticator(["key"], known=None)
    assert static.is_valid(static.identify("key", (), NOW), NOW)


def test_the_monitoring_key_opens_operator_data_alone():
    access = authenticator(["first"], "watch")
    assert access.identify_operator({"x-api-key": "watch"}, (), NOW) == Client(MONITORING)
    assert access.identify("watch", (), NOW) is None
    assert access.identify_operator({}, (), NOW) is None
    assert authenticator([], "watch", allows_anonymous=True).identify_operator({}, (), NOW) is None
    assert authenticator(allows_anonymous=True).identify_operator({}, (), NOW) == Client(ANONYMOUS)


@pytest.mark.parametrize(("scope", "status"), [("admin", 200), ("read", 403)])
def test_metrics_need_the_scope_admin(scope, status):
    options = {"keys": ["static"], "known": [stored(KEY, scopes=[scope])], "headers": {"X-API-Key": KEY.text}}
    assert call("GET", "/metrics", **options).status_code == status
    assert call("GET", "/docs", **options).status_code == 200
    assert ("degraded" in call("GET", "/readyz", **options).json()) == (status == 200)


def test_a_route_needs_its_scope():
    options = {"known": [stored(KEY, scopes=["read"])], "headers": {"X-API-Key": KEY.text}, "keys": ["static"]}
    answer = call("DELETE", "/api/v1/images/x", **options)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="delete"'
    assert call("GET", "/api/v1/images/x", **options).status_code == 422


def test_while_the_keys_are_not_known_no_request_with_one_is_answered():
    options = {"known": None, "keys": ["static"], "headers": {"X-API-Key": KEY.text}}
    answer = call("GET", "/api/v1/images/x", **options)
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unknown")
    assert answer.headers["Retry-After"]
    assert call("GET", "/metrics", **options).status_code == 503
    assert call("GET", "/readyz", **options).status_code == 200
