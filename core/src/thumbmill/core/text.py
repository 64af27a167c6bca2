"""File names that strangers give: cleaned by one function, wherever they come in."""

import re
import unicodedata

MAX_FILE_NAME_CHARS = 255  # characters; longer ones are cut

# Unicode's categories of what shows nothing, turns the text around or breaks its line: control characters, formats
# (bidirectional overrides, zero-width spaces and joiners), surrogates, separators of lines and of paragraphs.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Letters and marks by category that Unicode shows as nothing (Default_Ignorable_Code_Point).
_HIDDEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u3164\uffa0")


def sanitize_file_name(name: str) -> str | None:
    """Return the last part of a path without characters that hide or turn text; None if nothing is left."""
    last = re.split(r"[/\\]", "".join(filter(_is_shown, name)))[-1].strip()[:MAX_FILE_NAME_CHARS].rstrip()
    return None if last in {"", ".", ".."} else last


def _is_shown(sign: str) -> bool:
    return sign not in _HIDDEN_LETTERS and unicodedata.category(sign) not in _HIDDEN_CATEGORIES


"""What strangers wrote, made harmless where it reaches a terminal: ESC and its like would be commands there."""


def printable(text: object) -> str:
    """Return a text with everything that a terminal does not print as an escape; line breaks stay."""
    signs = str(text)
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in signs
    )


def printable_line(text: object) -> str:
    """Return the same as one line, so that it can't pass for another line of a log."""
    return printable(text).replace("\n", "\\n")
