from importlib.metadata import version

from prometheus_client import REGISTRY

from thumbmill.core.build_info import get_version, publish_build_info


def test_the_version_is_that_of_the_shared_package():
    assert get_version() == version("thumbmill-core")


def test_a_service_exposes_its_version():
    publish_build_info("gateway")
    labels = {"version": get_version(), "service": "gateway"}
    assert REGISTRY.get_sample_value("thumbmill_build_info", labels) == 1
