from thumbmill.core.text import printable, printable_line


def test_a_strangers_words_cannot_steer_a_terminal():
    assert printable("a\x1b[31mb\r\x07ü\N{RIGHT-TO-LEFT OVERRIDE}") == "a\\x1b[31mb\\r\\x07ü\\u202e"
    assert printable("\x9b31m") == "\\x9b31m"
    assert printable("\ud800\n") == "\\ud800\n"


def test_a_line_stays_one():
    assert printable_line("a\nb\r\n") == "a\\nb\\r\\n"
