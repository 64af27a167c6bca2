"""Which changes a client wants. Pure."""

import uuid
from dataclasses import dataclass
from typing import Protocol

from thumbmill.core.contracts.changes import ChangeType

# Types of changes after which an image will not change without another request.
FINAL_TYPES = frozenset({ChangeType.DONE, ChangeType.FAILED, ChangeType.EXPIRED, ChangeType.DELETED})


class Described(Protocol):
    """What a selection looks at in a change."""

    @property
    def tenant(self) -> str: ...
    @property
    def image_id(self) -> uuid.UUID: ...
    @property
    def batch(self) -> str | None: ...
    @property
    def type(self) -> str: ...


@dataclass(frozen=True)
class Selection:
    """Changes of a tenant's images: these, of this batch and of these types; what is empty does not restrict."""

    tenant: str
    images: frozenset[uuid.UUID] = frozenset()
    batch: str | None = None
    types: frozenset[str] = frozenset()

    def matches(self, change: Described) -> bool:
        return (
            change.tenant == self.tenant
            and (not self.images or change.image_id in self.images)
            and (self.batch is None or change.batch == self.batch)
            and (not self.types or change.type in self.types)
        )
