"""What a file is, by its first bytes: what a client declares is never believed."""

ENOUGH_BYTES = 12  # the longest signature, WebP's

OTHER = "application/octet-stream"
SUPPORTED = ("image/jpeg", "image/png", "image/gif", "image/webp")
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}


def sniff(start: bytes) -> str | None:
    """Name the content type that these first bytes begin, or None for nothing that is supported."""
    if start.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return None


def harmless(content_type: str | None) -> str:
    """Give the content type if it is one of a supported picture, else one that no browser runs."""
    return content_type if content_type in SUPPORTED else OTHER
