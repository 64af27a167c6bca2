import pytest

from thumbmill.gateway.auth import Access


def test_any_of_the_keys_opens():
    access = Access(["first", "second"])
    assert access.admits("first")
    assert access.admits("second")


@pytest.mark.parametrize("shown", ["", "firs", "first ", "FIRST", "first,second", "\udcff"])
def test_nothing_else_does(shown):
    assert not Access(["first", "second"]).admits(shown)


def test_every_key_is_compared_however_early_one_fits(monkeypatch):
    compared = []
    monkeypatch.setattr("thumbmill.gateway.auth.hmac.compare_digest", lambda a, b: compared.append(b) or a == b)
    assert Access(["first", "second", "third"]).admits("first")
    assert len(compared) == 3


def test_without_keys_the_api_is_open():
    assert Access([]).is_open
