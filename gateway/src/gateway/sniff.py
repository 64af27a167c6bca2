"""The content type of a file, by its first bytes: what a client declares is never believed."""

from pipeline.signatures import SIGNATURES, recognise

OTHER = "application/octet-stream"
SUPPORTED = tuple(signature.content_type for signature in SIGNATURES)
EXTENSIONS = {name: name.removeprefix("image/") for name in SUPPORTED} | {"image/jpeg": "jpg", "image/tiff": "tif"}


def sniff(start: bytes) -> str | None:
    """Name the content type that these first bytes begin, or None for nothing that is supported."""
    signature = recognise(start)
    return signature.content_type if signature else None


def harmless(content_type: str | None) -> str:
    """Give the content type if it is one of a supported picture, else one that no browser runs."""
    return content_type if content_type in SUPPORTED else OTHER
