"""Cleaning of untrusted text: file names, metadata of images, and text for logs and terminals."""

import re
import unicodedata

MAX_FILE_NAME_CHARS = 255  # characters; longer ones are cut

# Unicode's categories of characters that are invisible, reverse the direction of text or break a line: controls,
# formats (bidirectional overrides, zero-width spaces and joiners), surrogates, separators of lines and paragraphs.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Letters and marks by category that are rendered as nothing (Default_Ignorable_Code_Point).
_HIDDEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u3164\uffa0")


def sanitize_file_name(name: str) -> str | None:
    """Return the last part of a path without invisible characters; None if nothing is left."""
    visible = name if name.isascii() and name.isprintable() else "".join(filter(_is_visible, name))
    last = re.split(r"[/\\]", visible)[-1].strip()[:MAX_FILE_NAME_CHARS].rstrip()
    return None if last in {"", ".", ".."} else last


def sanitize_text(text: str, max_chars: int) -> str:
    """Return a text as one line of at most ``max_chars`` printable characters, which JSON and Postgres can hold.

    Unprintable characters count as spaces, and several spaces as one.
    """
    shown = text[: 4 * max_chars]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else " " for char in shown)
    return " ".join(shown.split())[:max_chars].rstrip()


def replace_unprintable(text: str, max_chars: int) -> str:
    """Return at most ``max_chars`` characters of a text, unprintable ones as U+FFFD; line breaks stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text[:max_chars]
    )


def escape_unprintable(text: object) -> str:
    """Return a text with unprintable characters as escapes, since a terminal interprets ESC; line breaks stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in str(text)
    )


def escape_to_one_line(text: object) -> str:
    """Escape line breaks as well, so that a text cannot forge a line of a log."""
    return escape_unprintable(text).replace("\n", "\\n")


def _is_visible(char: str) -> bool:
    return char not in _HIDDEN_LETTERS and unicodedata.category(char) not in _HIDDEN_CATEGORIES
