"""All packages of one release share a version, a licence and an entry in the changelog."""

import re
import runpy
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("core", "gateway", "thumbnailer", "status-tracker", "cli")
PROJECTS = {
    package: tomllib.loads((REPOSITORY / package / "pyproject.toml").read_text())["project"] for package in PACKAGES
}


def test_all_packages_have_one_version():
    assert len({project["version"] for project in PROJECTS.values()}) == 1


def test_the_newest_version_in_the_changelog_is_that_of_the_packages():
    versions = re.findall(r"^## \[(\d[^]]*)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == PROJECTS["core"]["version"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_names_its_licence_and_what_users_look_for(package):
    project = PROJECTS[package]
    assert project["license"] == "Apache-2.0"
    assert project["authors"]
    assert project["classifiers"] == sorted(project["classifiers"])
    assert project["readme"] == "README.md"


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_a_package_carries_the_repository_s_licence(package, name):
    """An sdist holds files of its own folder only, so each has a copy."""
    assert (REPOSITORY / package / name).read_text() == (REPOSITORY / name).read_text()


RELEASE = runpy.run_path(str(REPOSITORY / "infra/supply/release.py"))


def write_wheel(path, *names):
    with zipfile.ZipFile(path, "w") as wheel:
        for name in (*names, *(f"{path.stem}.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE"))):
            wheel.writestr(name, "")
    return path


def test_wheels_with_files_of_their_own_can_be_released(tmp_path):
    RELEASE["check_contents"](
        {
            "core": write_wheel(tmp_path / "core.whl", "thumbmill/core/__init__.py"),
            "cli": write_wheel(tmp_path / "cli.whl", "thumbmill/cli/__init__.py"),
        }
    )


def test_two_wheels_with_the_same_file_cannot_be_released(tmp_path):
    wheels = {name: write_wheel(tmp_path / f"{name}.whl", "thumbmill/core/__init__.py") for name in ("core", "cli")}
    with pytest.raises(RELEASE["ReleaseError"], match="is in the wheels of core and cli"):
        RELEASE["check_contents"](wheels)


def test_a_wheel_that_closes_the_namespace_cannot_be_released(tmp_path):
    with pytest.raises(RELEASE["ReleaseError"], match="shared namespace"):
        RELEASE["check_contents"]({"core": write_wheel(tmp_path / "core.whl", "thumbmill/__init__.py")})
