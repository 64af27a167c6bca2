"""The Dockerfile: what it copies exists, what it starts is a console script, what it installs is locked."""

import tomllib
from fnmatch import fnmatch

import pytest

from tests.support.compose_files import (
    CHECKOUT,
    ancestry,
    copied_from_context,
    exec_form,
    last_instruction,
    read_dockerfile,
)

ARGUMENTS, STAGES = read_dockerfile()
SERVICES = ["gateway", "thumbnailer", "status-tracker", "cli"]
RUNNING = [*SERVICES, "setup"]
IGNORED = [
    line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
]


def test_every_stage_is_built_from_another_or_the_pinned_base():
    for stage in STAGES.values():
        assert stage.source in {*STAGES, "${PYTHON_IMAGE}"}, stage.name
    name, _, tag = ARGUMENTS["PYTHON_IMAGE"].partition(":")
    assert name == "python"
    assert tag.split("-")[:2] == ["3.13", "slim"]


@pytest.mark.parametrize("path", copied_from_context(STAGES))
def test_every_copied_path_exists_and_is_in_the_build_context(path):
    assert (CHECKOUT / path).exists()
    allowed = [pattern.removeprefix("!") for pattern in IGNORED if pattern.startswith("!")]
    assert any(fnmatch(path, pattern) or path.startswith(f"{pattern}/") for pattern in allowed)


def test_the_build_context_is_an_allow_list():
    assert IGNORED[0] == "*"


@pytest.mark.parametrize("target", RUNNING)
def test_a_running_image_has_an_unprivileged_user_and_no_build_tools(target):
    assert last_instruction(STAGES, target, "USER") == "10001:10001"
    assert [stage.name for stage in ancestry(STAGES, target)] == [target, "runtime", "base"]
    assert "pip uninstall" in " ".join(rest for _, rest in STAGES["runtime"].instructions)


@pytest.mark.parametrize("target", RUNNING)
def test_an_image_is_labelled(target):
    labels = " ".join(
        rest for stage in ancestry(STAGES, target) for kind, rest in stage.instructions if kind == "LABEL"
    )
    names = ("title", "description", "version", "revision", "licenses")
    assert all(f"org.opencontainers.image.{name}=" in labels for name in names)


def test_the_label_of_the_version_is_that_of_the_packages():
    project = tomllib.loads((CHECKOUT / "core/pyproject.toml").read_text())["project"]
    assert ARGUMENTS["VERSION"] == project["version"]


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_starts_the_console_script_of_its_package(service):
    project = tomllib.loads((CHECKOUT / service / "pyproject.toml").read_text())["project"]
    [program] = exec_form(last_instruction(STAGES, service, "ENTRYPOINT"))
    assert program in project["scripts"]
    [packages] = [
        rest.split()[0].removeprefix("--from=") for kind, rest in STAGES[service].instructions if kind == "COPY"
    ]
    copies = " ".join(rest for kind, rest in STAGES[packages].instructions if kind == "COPY")
    assert f"/wheels/{project['name'].replace('-', '_')}-*" in copies
    assert f"requirements/{service}.txt" in copies


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_every_installed_package_is_locked_or_built_here(stage):
    for kind, command in stage.instructions:
        if kind == "RUN" and " install " in command and "pip " in command:
            assert "--require-hashes" in command or ("--no-deps" in command and "--no-index" in command)
        assert "apt-get" not in command
