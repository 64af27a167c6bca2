"""How dead letters are selected, and how a body is shown. Pure."""

import json
from dataclasses import dataclass, field

from thumbmill.core.messaging.dead_letters import DeadLetter, RawDeadLetter


@dataclass(frozen=True)
class Selection:
    """Selects dead letters by id (their own or an image's) and by reason."""

    everything: bool = False
    ids: frozenset[str] = field(default_factory=frozenset)
    codes: frozenset[str] = field(default_factory=frozenset)

    def matches(self, dead_letter: DeadLetter) -> bool:
        """Return whether the dead letter is selected."""
        if self.everything:
            return True
        if not self.ids and not self.codes:
            return False
        ids = {dead_letter.id, *map(str, dead_letter.image_ids)}
        return (not self.ids or bool(self.ids & ids)) and (not self.codes or dead_letter.code in self.codes)


def format_body(raw: RawDeadLetter) -> str:
    """Return a body for people: indented JSON, or the plain text."""
    try:
        return json.dumps(json.loads(raw.body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return raw.body.decode(errors="backslashreplace")
