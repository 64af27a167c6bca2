import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.core.text import MAX_FILE_NAME_CHARS, sanitize_file_name


@pytest.mark.parametrize(
    ("name", "cleaned"),
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
def test_names(name, cleaned):
    assert sanitize_file_name(name) == cleaned


@given(st.text())
def test_any_name(name):
    cleaned = sanitize_file_name(name)
    if cleaned is not None:
        assert 0 < len(cleaned) <= MAX_FILE_NAME_CHARS
        assert not {"/", "\\"} & set(cleaned)
        assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(sign) for sign in cleaned}
        assert sanitize_file_name(cleaned) == cleaned
