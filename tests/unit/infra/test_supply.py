"""The supply chain: licences of the locked packages, digests of base images, rules for updates."""

import json
import runpy

import pytest

from devstack.installation import CHECKOUT
from tests.support.compose_files import read_compose, read_dockerfile, resolve

LICENCES = runpy.run_path(str(CHECKOUT / "infra/supply/licences.py"))
SBOM = runpy.run_path(str(CHECKOUT / "infra/supply/sbom.py"))
PINS = runpy.run_path(str(CHECKOUT / "infra/compose/pin_images.py"))
DIGEST = "sha256:" + "0" * 64


def test_the_licences_page_matches_the_locks():
    page = (CHECKOUT / "docs/licences.md").read_text()
    assert LICENCES["make_page"]() == page.strip(), "update it with the output of infra/supply/licences.py"


def test_a_package_without_a_licence_is_an_error():
    with pytest.raises(LICENCES["LicenceError"], match="not-there is not installed"):
        LICENCES["find_licence"]("not-there")


def test_every_image_with_a_lock_has_an_sbom():
    assert set(SBOM["IMAGES"]) == set(LICENCES["IMAGES"])
    locks = {path.stem for path in (CHECKOUT / "requirements").glob("*.txt")}
    assert locks == {*SBOM["IMAGES"], "build", "dev", "sbom"}


def test_every_base_image_can_be_set_by_a_variable():
    arguments, _ = read_dockerfile()
    written = read_compose("compose.yaml")["services"]
    minio = (CHECKOUT / "infra/minio/Dockerfile").read_text()
    for variable, image in PINS["IMAGES"].items():
        used = (
            arguments.get(variable) == image
            or f"ARG {variable}={image}" in minio
            or any(service.get("image") == f"${{{variable}:-{image}}}" for service in written.values())
        )
        assert used, variable
    for name, service in written.items():
        if "build" in service:
            build_arguments = service["build"]["args"]
            default = {"PYTHON_IMAGE": arguments["PYTHON_IMAGE"], "REVISION": "unknown"}
            assert resolve(build_arguments) == default, name
            assert resolve(build_arguments, PYTHON_IMAGE="x") == default | {"PYTHON_IMAGE": "x"}, name
        elif "@sha256:" not in service["image"]:
            assert any(variable in service["image"] for variable in PINS["IMAGES"]), name


def test_pins_replace_earlier_pins_and_keep_the_other_lines():
    pins = PINS["pin"]({"POSTGRES_IMAGE": "postgres:18"}, lambda _: DIGEST)
    text = "PUBLIC_URL=https://images.example.org\nPOSTGRES_IMAGE=postgres:17\n# a comment\n"
    assert PINS["merge"](text, pins) == (
        f"PUBLIC_URL=https://images.example.org\n# a comment\nPOSTGRES_IMAGE=postgres:18@{DIGEST}\n"
    )
    assert PINS["merge"](PINS["merge"](text, pins), pins) == PINS["merge"](text, pins)


def test_without_docker_nothing_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["pin_images", str(tmp_path / ".env")])
    assert PINS["main"]() == 1
    assert "on a machine that can pull images" in capsys.readouterr().err
    assert not (tmp_path / ".env").exists()


def test_update_rules_contain_the_version_limits():
    rules = json.loads((CHECKOUT / "renovate.json").read_text())["packageRules"]
    limited = {name: rule for rule in rules for name in rule.get("matchPackageNames", [])}
    assert limited["minio"]["allowedVersions"] == "<8"
    assert limited["rabbitmq"]["allowedVersions"].startswith("!/^4")
