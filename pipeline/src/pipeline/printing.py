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
