from thumbmill.core.text import escape_to_one_line, escape_unprintable


def test_a_strangers_words_cannot_steer_a_terminal():
    assert escape_unprintable("a\x1b[31mb\r\x07ü\N{RIGHT-TO-LEFT OVERRIDE}") == "a\\x1b[31mb\\r\\x07ü\\u202e"
    assert escape_unprintable("\x9b31m") == "\\x9b31m"
    assert escape_unprintable("\ud800\n") == "\\ud800\n"


def test_a_line_stays_one():
    assert escape_to_one_line("a\nb\r\n") == "a\\nb\\r\\n"
