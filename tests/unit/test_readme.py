"""The README says what the code says. ``python tests/unit/test_readme.py`` prints the table of settings for it."""

import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from thumbmill.cli import settings as cli_settings
from thumbmill.gateway import settings as gateway_settings
from thumbmill.thumbnailer import settings as thumbnailer_settings
from thumbmill.thumbnailer.presets.file import PresetsError, load_presets
from thumbmill.tracker import settings as tracker_settings

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
SERVICES = {
    "gateway": gateway_settings.Settings,
    "thumbnailer": thumbnailer_settings.Settings,
    "tracker": tracker_settings.Settings,
    "migrate": tracker_settings.MigrationSettings,
    "thumbmill": cli_settings.Settings,
}


def settings_table():
    rows = {}
    for service, settings in SERVICES.items():
        for name, field in settings.model_fields.items():
            users, defaults, meanings = rows.setdefault(name.upper(), ([], {}, {}))
            users.append(service)
            defaults[default_of(field)] = meanings[field.description] = None  # dictionaries, for their order
    lines = ["| variable | for | default | meaning |", "|---|---|---|---|"]
    for name, (users, defaults, meanings) in rows.items():
        everybody = "all" if set(users) >= {"gateway", "thumbnailer", "tracker"} else ", ".join(users)
        lines.append(
            f"| `{name}` | {everybody} | {', '.join(defaults)} | {'; '.join(meanings).replace('|', '/')} |"
        )
    return "\n".join(lines)


def default_of(field):
    if field.default_factory is not None:
        return ""
    default = field.default
    if default is PydanticUndefined:
        return "required"
    if hasattr(default, "get_secret_value"):
        default = default.get_secret_value()
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if default not in (None, "") else ""


def test_the_table_of_settings_is_the_codes():
    assert settings_table() in README.read_text(), (
        "put what `python tests/unit/test_readme.py` prints into README.md"
    )


def test_the_example_of_presets_is_one(tmp_path):
    [example] = re.findall(r"^```yaml\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "presets.yaml"
    path.write_text(example)
    card, large = load_presets(path).presets
    assert (card.fit, card.format, large.width, large.height) == ("cover", "webp", 2400, None)
    path.write_text(example.replace("quality: 75", "quality: 750"))
    with pytest.raises(PresetsError) as caught:
        load_presets(path)
    assert f"`{str(caught.value).removeprefix(f'{tmp_path}/')}`" in README.read_text()


def test_every_link_leads_somewhere():
    for page in (README, *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("*/README.md")):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(REPOSITORY)} links to {target}"


def test_every_promise_of_security_names_tests_that_exist():
    page = (REPOSITORY / "docs" / "explanation" / "security.md").read_text()
    named = set(re.findall(r"`(?:[a-z/]+/)?(test_\w+\.py)`", page))
    assert named <= {path.name for path in (REPOSITORY / "tests").rglob("test_*.py")}
    assert {path.name for path in (REPOSITORY / "tests" / "security").glob("test_*.py")} <= named, (
        "an attack, no promise"
    )


@pytest.mark.parametrize("package", ["pipeline", "gateway", "thumbnailer", "status-tracker", "cli"])
def test_a_package_s_readme_names_every_file(package):
    readme = (REPOSITORY / package / "README.md").read_text()
    named = [word.rpartition("/")[2] for word in re.findall(r"`([^`\s]+)`", readme)]
    files = {file.name for file in (REPOSITORY / package / "src").rglob("*.py")} - {"__init__.py"}
    assert not {file for file in files if not any(fnmatch(file, word) for word in named)}


def test_the_two_commands_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    for verb in re.findall(r"^make ([a-z-]+)", README.read_text(), re.MULTILINE):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb


if __name__ == "__main__":
    sys.stdout.write(settings_table() + "\n")
