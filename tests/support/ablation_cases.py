"""The runs in docs/loss-drill.md that show the purpose of each guard."""

import re

from devstack.installation import CHECKOUT

_ROW = re.compile(r"^\| `(--scenario [^`]+)` \| ([^|]+) \|", re.MULTILINE)
_COUNT = re.compile(r"([a-z]+) (\d+)")


def cases():
    """Return each run's arguments and its counts that are not 0."""
    text = (CHECKOUT / "docs" / "loss-drill.md").read_text()
    return [
        (arguments, {name: int(n) for name, n in _COUNT.findall(counts)})
        for arguments, counts in _ROW.findall(text)
    ]
