from datetime import UTC, datetime, timedelta

import pytest

from thumbmill.gateway.auth import SESSION_LIFETIME, ApiKeys


def test_each_key_is_accepted():
    api_keys = ApiKeys(["first", "second"])
    assert api_keys.verify("first")
    assert api_keys.verify("second")


@pytest.mark.parametrize("key", ["", "firs", "first ", "FIRST", "first,second", "\udcff"])
def test_every_other_key_is_rejected(key):
    assert not ApiKeys(["first", "second"]).verify(key)


def test_a_key_is_compared_with_all_keys_even_after_a_match(monkeypatch):
    compared = []
    monkeypatch.setattr("thumbmill.gateway.auth.hmac.compare_digest", lambda a, b: compared.append(b) or a == b)
    assert ApiKeys(["first", "second", "third"]).verify("first")
    assert len(compared) == 3


def test_without_keys_access_is_anonymous():
    assert ApiKeys([]).allows_anonymous


NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def test_a_session_belongs_to_its_key_until_it_expires():
    api_keys = ApiKeys(["first", "second"])
    token, session = api_keys.open_session("second", NOW)
    assert session.expires_at == NOW + SESSION_LIFETIME
    assert session.client == api_keys.client_name("second")
    assert api_keys.find_session([token], session.expires_at - timedelta(seconds=1)) == session
    assert api_keys.find_session([token], session.expires_at) is None


def test_every_gateway_with_the_key_accepts_the_session_and_no_other():
    token, session = ApiKeys(["first", "second"]).open_session("second", NOW)
    assert ApiKeys(["second"], "watch").find_session([token], NOW) == session
    assert ApiKeys(["first"]).find_session([token], NOW) is None
    assert ApiKeys([]).find_session([token], NOW) is None


def test_a_changed_token_opens_nothing():
    api_keys = ApiKeys(["key"])
    token, _ = api_keys.open_session("key", NOW)
    expiry, signature = token.split(".")
    forged = [f"{int(expiry) + 1}.{signature}", f".{signature}", expiry, f"{expiry}.", "", ".", "\udcff.\udcff"]
    forged += [f"{expiry}.{signature[:-1]}", f"{token}0", f" {token}", f"{expiry}.{signature.upper()}", "é.é"]
    assert [one for one in forged if api_keys.find_session([one], NOW)] == []


def test_a_session_is_compared_with_all_keys_even_after_a_match(monkeypatch):
    api_keys = ApiKeys(["first", "second", "third"])
    token, _ = api_keys.open_session("first", NOW)
    compared = []
    monkeypatch.setattr("thumbmill.gateway.auth.hmac.compare_digest", lambda a, b: compared.append(b) or a == b)
    assert api_keys.find_session([token], NOW)
    assert len(compared) == 3
