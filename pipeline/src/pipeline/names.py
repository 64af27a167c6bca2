"""File names that strangers give: cleaned by one function, wherever they come in."""

import re
import unicodedata

LONGEST_NAME = 255  # characters; longer ones are cut

# Unicode's categories of what shows nothing, turns the text around or breaks its line: control characters, formats
# (bidirectional overrides, zero-width spaces and joiners), surrogates, separators of lines and of paragraphs.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Letters and marks by category that Unicode shows as nothing (Default_Ignorable_Code_Point).
_HIDDEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u3164\uffa0")


def clean_name(name: str) -> str | None:
    """Return the last part of a path without characters that hide or turn text; None if nothing is left."""
    last = re.split(r"[/\\]", "".join(filter(_is_shown, name)))[-1].strip()[:LONGEST_NAME].rstrip()
    return None if last in {"", ".", ".."} else last


def _is_shown(sign: str) -> bool:
    return sign not in _HIDDEN_LETTERS and unicodedata.category(sign) not in _HIDDEN_CATEGORIES
