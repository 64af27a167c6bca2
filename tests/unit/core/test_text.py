import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.core.text import (
    MAX_FILE_NAME_CHARS,
    escape_to_one_line,
    escape_unprintable,
    replace_unprintable,
    sanitize_file_name,
    sanitize_text,
)


def test_untrusted_text_cannot_control_a_terminal():
    assert escape_unprintable("a\x1b[31mb\r\x07ü\N{RIGHT-TO-LEFT OVERRIDE}") == "a\\x1b[31mb\\r\\x07ü\\u202e"
    assert escape_unprintable("\x9b31m") == "\\x9b31m"
    assert escape_unprintable("\ud800\n") == "\\ud800\n"


def test_a_line_stays_one_line():
    assert escape_to_one_line("a\nb\r\n") == "a\\nb\\r\\n"


def test_unprintable_characters_are_replaced():
    assert replace_unprintable("a\x1b\nb" + "c" * 9, 6) == "a\N{REPLACEMENT CHARACTER}\nbcc"


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 50))
def test_a_sanitized_text_is_one_short_printable_line(text, max_chars):
    sanitized = sanitize_text(text, max_chars)
    assert len(sanitized) <= max_chars
    assert not sanitized or sanitized.isprintable()
    assert sanitize_text(sanitized, max_chars) == sanitized


@pytest.mark.parametrize(
    ("name", "sanitized"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b\r\n\u202egpj.jpg", "abgpj.jpg"),
        ("\x1b[2J\x1b]0;title\x07.jpg", "[2J]0;title.jpg"),
        ("\x9b31m.jpg", "31m.jpg"),
        ("a\u200b\u200c\u200d\u2060\ufeff\u00ad.jpg", "a.jpg"),
        ("a\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069.jpg", "a.jpg"),
        ("a\u2028b\u2029\u0085.jpg", "ab.jpg"),
        ("a\U000e0041\U000e007f\ufff9\ufffb\u180e\u3164\uffa0\u115f.jpg", "a.jpg"),
        ("a\ud800.jpg", "a.jpg"),
        (".\u200b.", None),
        ("a/\u202e..", None),
        ("..", None),
        (" \t ", None),
        ("\u3164", None),
        ("", None),
        ("x" * 300, "x" * MAX_FILE_NAME_CHARS),
        ("名前 ё é 🐈.jpg", "名前 ё é 🐈.jpg"),
    ],
)
def test_file_names(name, sanitized):
    assert sanitize_file_name(name) == sanitized


@given(st.text())
def test_any_file_name(name):
    sanitized = sanitize_file_name(name)
    if sanitized is not None:
        assert 0 < len(sanitized) <= MAX_FILE_NAME_CHARS
        assert not {"/", "\\"} & set(sanitized)
        assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in sanitized}
        assert sanitize_file_name(sanitized) == sanitized
