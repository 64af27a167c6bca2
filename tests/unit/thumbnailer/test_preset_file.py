from dataclasses import asdict, fields
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.core.contracts.identity import new_image_id, variant_key
from thumbmill.thumbnailer.presets.file import Entry, PresetsError, load_presets
from thumbmill.thumbnailer.presets.model import Preset, PresetSet

A_COLOUR = 'must be "#rgb", "#rrggbb" or "#rrggbbaa", with the quotes, or transparent'
RENAMED = "is named enlarge since 0.2, with the opposite meaning: true enlarges small images"
ONE = "version: v1\npresets:\n  - name: a\n    width: 10\n"


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a file of this content. Its errors do not contain the folder."""

    def load(content):
        path = tmp_path / "presets.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            return load_presets(path)
        except PresetsError as error:
            raise PresetsError(str(error).replace(f"{tmp_path}/", "")) from error

    return load


def errors_of(load, content):
    with pytest.raises(PresetsError) as caught:
        load(content)
    return str(caught.value).splitlines()


def one(text, version="v1"):
    """Return a file of one preset, whose fields begin in line 4."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return f"version: {version}\npresets:\n  - name: a\n{lines}"


def test_the_default_presets():
    presets = load_presets(Path(str(files("thumbmill.thumbnailer.presets") / "default.yaml")))
    boxes = [(preset.name, preset.width, preset.height) for preset in presets.presets]
    assert boxes == [("thumbnail", 256, 256), ("small", 640, 640), ("large", 1600, 1600)]
    for name, width, height in boxes:
        assert Preset(name, width, height) in presets.presets  # all other fields have their defaults


def test_every_field_can_be_set(load):
    text = """
width: 640
height: 360
fit: contain
gravity: northeast
quality: 60
format: webp
background: "#A0b1C280"
enlarge: true
animated: keep
"""
    assert load(one(text.strip(), "2026-01-31")) == PresetSet(
        "2026-01-31",
        (Preset("a", 640, 360, "contain", "northeast", 60, "webp", "#a0b1c280", True, "keep"),),
    )


def test_omitted_fields_have_the_defaults_of_the_class(load):
    assert load(ONE).presets == (Preset("a", width=10),)
    assert {name: field.default for name, field in Entry.model_fields.items() if name != "name"} == {
        name: value for name, value in asdict(Preset("")).items() if name != "name"
    }
    assert list(Entry.model_fields) == [field.name for field in fields(Preset)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [('"#abc"', "#aabbcc"), ('"#ABCDEF"', "#abcdef"), ("transparent", "transparent"), ("'#00000000'", "#00000000")],
)
def test_colours_are_normalized(load, written, meant):
    assert load(one(f"width: 1\nbackground: {written}")).presets[0].background == meant


@pytest.mark.parametrize(
    "colour", ["#ab", "#abcd", "#abcde", "#1234567", "#123456789", "#ggg", "transparently", "fff"]
)
def test_an_invalid_colour_is_rejected(load, colour):
    (error,) = errors_of(load, one(f"width: 1\nbackground: '{colour}'"))
    assert error == f"presets.yaml:5: presets[0].background: {A_COLOUR}, is {colour}"


def test_scalars_that_yaml_would_convert_stay_strings(load):
    presets = load("version: 1.10\npresets: [{name: on, width: 1}, {name: 0123, width: 1}]")
    assert (presets.version, [preset.name for preset in presets.presets]) == ("1.10", ["on", "0123"])


@pytest.mark.parametrize("version", ["1", "v1", "2026-01-31", "1.2.3", "a" * 32])
def test_a_version_fits_into_a_key(load, version):
    key = variant_key(new_image_id(), "ab" * 32, "a", load(one("width: 1", version)).key_version, "jpg")
    assert key.split("/")[1].startswith(f"abababababababab-{version}.")
    assert key.isascii()


# --- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("width: 1\nquality: 300", 5, "presets[0].quality: must be 1 to 100, is 300"),
        ("width: 1\nquality: 0", 5, "presets[0].quality: must be 1 to 100, is 0"),
        ("width: 1\nquality: good", 5, "presets[0].quality: must be a whole number, is good"),
        ("width: 1\nquality: 1.5", 5, "presets[0].quality: must be a whole number, is 1.5"),
        ("width: 0", 4, "presets[0].width: must be 1 to 16383, is 0"),
        ("height: 16384", 4, "presets[0].height: must be 1 to 16383, is 16384"),
        ("width:", 4, 'presets[0].width: must be a whole number, is ""'),
        ("width: [1, 2]", 4, "presets[0].width: must be a whole number, is a list"),
        ("width: 1\nfit: fill", 5, "presets[0].fit: must be inside, cover or contain, is fill"),
        ("width: 1\nformat: gif", 5, "presets[0].format: must be auto, jpeg, webp, avif or png, is gif"),
        ("width: 1\nanimated: yes", 5, "presets[0].animated: must be first, keep or reject, is yes"),
        ("width: 1\nenlarge: 2", 5, "presets[0].enlarge: must be true or false, is 2"),
        (
            "width: 1\nwithout_enlargement: true", 5,
            f"presets[0].without_enlargement: {RENAMED}",
        ),
        ("width: 1\nheigth: 3", 5, "presets[0].heigth: is not a known field"),
        ("width: 1\nwidth: 2", 5, "presets[0].width: is repeated; line 4 has it too"),
        ("quality: 1", 3, "presets[0].width: give a width, a height or both"),
        ("width: 1\nfit: cover", 5, "presets[0].fit: cover needs both width and height"),
        ("height: 1\nfit: contain", 5, "presets[0].fit: contain needs both width and height"),
        ("width: 1\nname: b", 5, "presets[0].name: is repeated; line 3 has it too"),
        (
            "width: 1\nbackground: #fff", 5,
            f'presets[0].background: {A_COLOUR}, is ""',
        ),
        (
            "width: 1\nbackground: red", 5,
            f"presets[0].background: {A_COLOUR}, is red",
        ),
        (
            "width: 1\nheight: 1\nfit: contain\nformat: jpeg\nbackground: transparent", 8,
            "presets[0].background: a JPEG cannot show transparent: choose another format or colour",
        ),
        (
            "width: 1\nformat: jpeg\nbackground: '#12345678'", 6,
            "presets[0].background: a JPEG cannot show #12345678: choose another format or colour",
        ),
        (
            "width: 1\nformat: jpeg\nanimated: keep", 6,
            "presets[0].animated: a JPEG cannot be animated: choose another format, or animated: first",
        ),
        ("width: 1\n<<: {height: 2}", 5, "presets[0].<<: is not a known field"),
    ],
)  # fmt: skip
def test_an_error_names_its_line_and_field(load, text, line, message):
    assert errors_of(load, one(text)) == [f"presets.yaml:{line}: {message}"]


@pytest.mark.parametrize(
    "name", ["original", "Thumb", "a b", "-a", "a/b", "a_b", "ä", '""', "a" * 33, "../a", "a\\n"]
)
def test_a_name_is_valid_in_keys_and_urls(load, name):
    (error,) = errors_of(load, f"version: 1\npresets:\n- width: 1\n  name: {name}\n")
    assert error.startswith("presets.yaml:4: presets[0].name: must have 1 to 32 characters of a-z, 0-9 and -")


@pytest.mark.parametrize("version", ["V1", "a/b", "..", ".1", "-1", "a_b", "", "a" * 33, "[1]"])
def test_a_version_is_valid_in_keys_and_urls(load, version):
    (error,) = errors_of(load, one("width: 1", version))
    assert error.startswith("presets.yaml:1: version: must ")


@pytest.mark.parametrize("kind", ["auto", "webp", "avif", "png"])
def test_formats_with_animation_and_alpha_accept_both(load, kind):
    assert load(one(f"width: 1\nformat: {kind}\nanimated: keep\nbackground: transparent"))


def test_all_errors_are_reported_at_once_in_line_order(load):
    content = """\
version: V1
presets:
  - name: a
    width: 0
    quality: 300
  - name: original
  - just a text
  - name: a
    fit: cover
    height: 1
another: 1
"""
    places = [error.split(": ")[:2] for error in errors_of(load, content)]
    assert places == [
        ["presets.yaml:1", "version"],
        ["presets.yaml:4", "presets[0].width"],
        ["presets.yaml:5", "presets[0].quality"],
        ["presets.yaml:6", "presets[1].name"],
        ["presets.yaml:7", "presets[2]"],
        ["presets.yaml:8", "presets[3].name"],
        ["presets.yaml:9", "presets[3].fit"],
        ["presets.yaml:11", "another"],
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "presets.yaml:1: must be a mapping of fields to values"),
        ("# nothing\n", "presets.yaml:1: must be a mapping of fields to values"),
        (
            "version: 1\n? [a]\n: b\npresets: [{name: a, width: 1}]",
            "presets.yaml:2: (a list or mapping): is not a known field",
        ),
        ("- a\n", "presets.yaml:1: must be a mapping of fields to values"),
        ("presets:\n- {name: a, width: 1}\n", "presets.yaml:1: version: is required"),
        ("version: 1\n", "presets.yaml:1: presets: is required"),
        ("version: 1\npresets: []\n", "presets.yaml:2: presets: must be a list of 1 to 20"),
        ("version: 1\npresets: all\n", "presets.yaml:2: presets: must be a list of 1 to 20"),
        ("version: 1\npresets: [\n", "presets.yaml:3: expected the node content, but found '<stream end>'"),
        ("version: 1\npresets: &a\n- *a\n", "presets.yaml:3: *a: aliases are not supported"),
        (ONE + "---\n" + ONE, "presets.yaml:5: but found another document"),
        (b"version: 1\npresets: \xff\n", "presets.yaml:2: invalid start byte"),
        (b"version: 1\npresets: \x01\n", "presets.yaml:2: special characters are not allowed"),
    ],
)
def test_an_invalid_file_names_the_reason(load, content, message):
    assert errors_of(load, content) == [message]


def test_a_hostile_file_is_rejected(load):
    assert errors_of(load, "[" * 1000 + "]" * 1000) == ["presets.yaml:1: is nested too deeply"]
    assert errors_of(load, "#" * 100_001) == [
        "presets.yaml: is larger than 100000 bytes, the limit for a file of presets"
    ]


@pytest.mark.parametrize("number", [20, 21])
def test_twenty_presets_are_the_maximum(load, number):
    content = "version: 1\npresets:\n" + "".join(f"- {{name: p{n}, width: 1}}\n" for n in range(number))
    if number <= 20:
        assert len(load(content).presets) == number
    else:
        assert errors_of(load, content) == ["presets.yaml:2: presets: must be a list of 1 to 20"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(PresetsError, match=f"cannot read {path}: {reason}"):
            load_presets(path)


@given(st.binary(max_size=300) | st.text(alphabet="ab:-[]{}&*!'\"#|>\n \t,?%@", max_size=100).map(str.encode))
def test_arbitrary_bytes_are_rejected_without_a_traceback(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "garbage.yaml"
    path.write_bytes(content)
    with pytest.raises(PresetsError, match=rf"^{path}:"):
        load_presets(path)
