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


def test_every_stage_is_built_upon_another_or_the_pinned_base():
    for stage in STAGES.values():
        assert stage.source in {*STAGES, "${PYTHON_IMAGE}"}, stage.name
    name, _, tag = ARGUMENTS["PYTHON_IMAGE"].partition(":")
    assert name == "python"
    assert tag.split("-")[:2] == ["3.13", "slim"]


@pytest.mark.parametrize("path", copied_from_context(STAGES))
def test_what_is_copied_exists_and_is_sent_to_the_builder(path):
    assert (CHECKOUT / path).exists()
    allowed = [pattern.removeprefix("!") for pattern in IGNORED if pattern.startswith("!")]
    assert any(fnmatch(path, pattern) or path.startswith(f"{pattern}/") for pattern in allowed)


def test_nothing_is_sent_to_the_builder_unasked():
    assert IGNORED[0] == "*"


@pytest.mark.parametrize("target", RUNNING)
def test_an_image_that_runs_has_no_rights_and_nothing_that_builds(target):
    assert last_instruction(STAGES, target, "USER") == "10001:10001"
    assert [stage.name for stage in ancestry(STAGES, target)] == [target, "runtime", "base"]
    assert "pip uninstall" in " ".join(rest for _, rest in STAGES["runtime"].instructions)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_starts_the_console_script_of_its_package(service):
    project = tomllib.loads((CHECKOUT / service / "pyproject.toml").read_text())["project"]
    [program] = exec_form(last_instruction(STAGES, service, "ENTRYPOINT"))
    assert program in project["scripts"]
    [packages] = [
        rest.split()[0].removeprefix("--from=") for word, rest in STAGES[service].instructions if word == "COPY"
    ]
    copies = " ".join(rest for word, rest in STAGES[packages].instructions if word == "COPY")
    assert f"/wheels/{project['name'].replace('-', '_')}-*" in copies
    assert f"requirements/{service}.txt" in copies


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_what_is_installed_is_locked_or_our_own(stage):
    for word, command in stage.instructions:
        if word == "RUN" and " install " in command and "pip " in command:
            assert "--require-hashes" in command or ("--no-deps" in command and "--no-index" in command)
        assert "apt-get" not in command
