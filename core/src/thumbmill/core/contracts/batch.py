"""The label of a batch: a client gives the same one to uploads that belong together."""

import re
from typing import Annotated

from pydantic import AfterValidator

BATCH_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
BATCH_METADATA = "batch"  # of an object: x-amz-meta-batch
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}")


def valid_batch(label: str | None) -> str | None:
    """Return a label, or None if it is none: any uploader may set an object's metadata."""
    return label if label and _LABEL.fullmatch(label) else None


Batch = Annotated[str | None, AfterValidator(valid_batch)]
