"""Tests that build images and start containers: `make test-compose` runs them, a plain pytest skips them."""


def pytest_ignore_collect(collection_path, config):
    return None if "compose" in config.getoption("markexpr") else True
