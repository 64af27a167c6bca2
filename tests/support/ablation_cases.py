"""The runs of docs/loss-drill.md that show what each guard is for."""

import re

from devstack.installation import CHECKOUT

_ROW = re.compile(r"^\| `(--scenario [^`]+)` \| ([^|]+) \|", re.MULTILINE)
_COUNT = re.compile(r"([a-z]+) (\d+)")


def cases():
    """Give each run's arguments and the counts that are not 0 by it."""
    text = (CHECKOUT / "docs" / "loss-drill.md").read_text()
    return [
        (arguments, {name: int(n) for name, n in _COUNT.findall(counts)})
        for arguments, counts in _ROW.findall(text)
    ]
