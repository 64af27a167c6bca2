"""README.md, docs/ and the packages' READMEs agree with the code. ``make docs`` writes the generated pages."""

import re
import runpy
from pathlib import Path

import pytest

from thumbmill.thumbnailer.presets.file import PresetsError, load_presets

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
CHANGE_PRESETS = REPOSITORY / "docs" / "how-to" / "change-presets.md"
GENERATED = runpy.run_path(str(REPOSITORY / "docs" / "generate.py"))["PAGES"]
PAGES = sorted(
    {*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("*/README.md")}
    | {REPOSITORY / "tests" / "README.md"}
)
DECISIONS = sorted(path.name for path in (REPOSITORY / "docs" / "decisions").glob("*.md"))
MAX_COLUMNS = 120


def name_of(path):
    return str(path.relative_to(REPOSITORY))


def anchor_of(heading):
    """Return a heading's anchor as GitHub makes it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def prose_of(page):
    """Return a page's lines without code, each with its number."""
    lines, fenced = [], False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            lines.append((number, line))
    return lines


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_current(name):
    page = REPOSITORY / "docs" / "reference" / name
    assert page.read_text() == GENERATED[name](), "run `make docs`"


def test_the_example_of_presets_is_valid(tmp_path):
    page = CHANGE_PRESETS.read_text()
    [example] = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "presets.yaml"
    path.write_text(example)
    card, large = load_presets(path).presets
    assert (card.fit, card.format, large.width, large.height) == ("cover", "webp", 2400, None)
    path.write_text(example.replace("quality: 75", "quality: 750"))
    with pytest.raises(PresetsError) as caught:
        load_presets(path)
    assert f"`{str(caught.value).removeprefix(f'{tmp_path}/')}`" in page


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_has_a_target(page):
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = page.parent / path if path else page
        assert linked.exists(), f"{name_of(page)} links to {target}"
        if anchor and linked.suffix == ".md":
            headings = [line.lstrip("#") for _, line in prose_of(linked) if line.startswith("#")]
            assert anchor in map(anchor_of, headings), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_outside_of_tables_and_code_is_too_long(page):
    long = [
        number for number, line in prose_of(page) if len(line) > MAX_COLUMNS and not line.lstrip().startswith("|")
    ]
    assert not long, f"{name_of(page)} exceeds {MAX_COLUMNS} columns in lines {long}"


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 120


def test_the_index_of_the_documentation_lists_every_page():
    index = (REPOSITORY / "docs" / "README.md").read_text()
    pages = [path.relative_to(REPOSITORY / "docs") for path in (REPOSITORY / "docs").rglob("*.md")]
    assert not [str(path) for path in pages if f"({path})" not in index and str(path) != "README.md"]


def test_decisions_have_numbers_of_their_own():
    numbers = [name.partition("-")[0] for name in DECISIONS]
    assert numbers == [f"{number:03}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("name", DECISIONS)
def test_the_index_has_a_decision_s_number_and_title(name):
    number, _, title = (REPOSITORY / "docs" / "decisions" / name).read_text().partition("\n")[0][2:].partition(" ")
    assert name.startswith(f"{number}-")
    assert f"| {number} | [{title}](decisions/{name}) |" in (REPOSITORY / "docs" / "README.md").read_text()


def test_every_promise_of_security_names_tests_that_exist():
    page = (REPOSITORY / "docs" / "explanation" / "security.md").read_text()
    named = set(re.findall(r"`(?:[a-z/]+/)?(test_\w+\.py)`", page))
    assert named <= {path.name for path in (REPOSITORY / "tests").rglob("test_*.py")}
    assert {path.name for path in (REPOSITORY / "tests" / "security").glob("test_*.py")} <= named, (
        "an attack without a promise"
    )


@pytest.mark.parametrize("package", ["core", "gateway", "thumbnailer", "status-tracker", "cli"])
def test_a_package_s_readme_names_every_file(package):
    """A name may be a pattern, and have the folders of its sub-package or not: `codecs/*.py`, `png.py`."""
    named = re.findall(r"`([^`\s]+)`", (REPOSITORY / package / "README.md").read_text())
    [root] = [path.parent for path in (REPOSITORY / package / "src" / "thumbmill").glob("*/__init__.py")]
    modules = {path.relative_to(root) for path in root.rglob("*.py") if path.name != "__init__.py"}
    assert not {str(module) for module in modules if not any(module.match(name) for name in named)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_a_page_names_exists(page):
    makefile = (REPOSITORY / "Makefile").read_text()
    code = re.findall(r"`make ([a-z-]+)[^`]*`", page.read_text()) + re.findall(
        r"^make ([a-z-]+)", page.read_text(), re.MULTILINE
    )
    for target in code:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name_of(page)} names make {target}"
