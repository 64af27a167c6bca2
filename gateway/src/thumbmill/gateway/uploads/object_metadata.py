"""The metadata that the gateway stores with an object."""

from urllib.parse import quote

from thumbmill.core.contracts.batch import BATCH_METADATA
from thumbmill.core.contracts.storage_events import FILE_NAME_METADATA, TRACEPARENT_METADATA

_MAX_NAME_BYTES = 1200  # S3 allows 2 KiB of metadata in all, and percent-encoding triples a name


def object_metadata(file_name: str | None, traceparent: str, batch: str | None) -> dict[str, str]:
    """Return the metadata of an upload, without the names of what it does not have."""
    named = {FILE_NAME_METADATA: encode_name(file_name)} if file_name else {}
    labelled = {BATCH_METADATA: batch} if batch else {}
    return {TRACEPARENT_METADATA: traceparent, **named, **labelled}


def encode_name(file_name: str) -> str:
    """Percent-encode a file name for object metadata, which is ASCII, and cut it to the allowed size."""
    while len(quoted := quote(file_name, safe="", errors="replace")) > _MAX_NAME_BYTES:
        file_name = file_name[:-1]
    return quoted
