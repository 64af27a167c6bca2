import pytest

from thumbmill.gateway.auth import ApiKeys


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
