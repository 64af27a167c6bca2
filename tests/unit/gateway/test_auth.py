import pytest

from thumbmill.gateway.auth import ApiKeys


def test_any_of_the_keys_opens():
    api_keys = ApiKeys(["first", "second"])
    assert api_keys.verify("first")
    assert api_keys.verify("second")


@pytest.mark.parametrize("shown", ["", "firs", "first ", "FIRST", "first,second", "\udcff"])
def test_nothing_else_does(shown):
    assert not ApiKeys(["first", "second"]).verify(shown)


def test_every_key_is_compared_however_early_one_fits(monkeypatch):
    compared = []
    monkeypatch.setattr("thumbmill.gateway.auth.hmac.compare_digest", lambda a, b: compared.append(b) or a == b)
    assert ApiKeys(["first", "second", "third"]).verify("first")
    assert len(compared) == 3


def test_without_keys_the_api_is_open():
    assert ApiKeys([]).allows_anonymous
