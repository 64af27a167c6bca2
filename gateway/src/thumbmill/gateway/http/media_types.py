"""Content types: by the first bytes of a file, by its format, and by the synonyms that clients use.

For uploads through the gateway the bytes decide, not the type that the client declared.
"""

from thumbmill.core.formats import SIGNATURES, detect_format

SUPPORTED = tuple(signature.content_type for signature in SIGNATURES)
OTHER = "application/octet-stream"
EXTENSIONS = {name: name.removeprefix("image/") for name in SUPPORTED} | {"image/jpeg": "jpg", "image/tiff": "tif"}

# Names that browsers, systems and libraries use or used; the types of sequences are registered next to the image's.
_SYNONYMS = {
    "image/jpg": "image/jpeg",
    "image/jpe": "image/jpeg",
    "image/jfif": "image/jpeg",
    "image/pjpeg": "image/jpeg",  # Internet Explorer
    "image/pjp": "image/jpeg",
    "image/x-jpeg": "image/jpeg",
    "image/x-jpg": "image/jpeg",
    "image/x-citrix-jpeg": "image/jpeg",
    "image/x-png": "image/png",  # Internet Explorer
    "image/apng": "image/png",
    "image/vnd.mozilla.apng": "image/png",
    "image/x-citrix-png": "image/png",
    "image/x-gif": "image/gif",
    "image/x-webp": "image/webp",
    "image/x-bmp": "image/bmp",
    "image/ms-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",  # Python and Debian, once
    "image/x-windows-bmp": "image/bmp",
    "image/x-win-bitmap": "image/bmp",
    "image/x-bitmap": "image/bmp",
    "image/vnd.microsoft.bmp": "image/bmp",
    "application/bmp": "image/bmp",
    "image/tif": "image/tiff",
    "image/x-tif": "image/tiff",
    "image/x-tiff": "image/tiff",
    "image/tiff-fx": "image/tiff",
    "image/heic-sequence": "image/heic",
    "image/x-heic": "image/heic",
    "image/heif-sequence": "image/heif",
    "image/x-heif": "image/heif",
    "image/avif-sequence": "image/avif",
    "image/x-avif": "image/avif",
}


def sniff(start: bytes) -> str | None:
    """Return the content type of a file that starts with these bytes, or None if it is not supported."""
    signature = detect_format(start)
    return signature.content_type if signature else None


def normalize_content_type(content_type: str | None) -> str:
    """Return a content type in lower case, without parameters, by its canonical name."""
    bare = (content_type or "").partition(";")[0].strip().lower()
    return _SYNONYMS.get(bare, bare)


def safe_content_type(content_type: str | None) -> str:
    """Return the content type of a supported image, or else one that no browser executes."""
    normalized = normalize_content_type(content_type)
    return normalized if normalized in SUPPORTED else OTHER


def content_type_of_format(decoded: str, declared: str | None) -> str:
    """Return the content type of a decoded format; if it has several, prefer the declared one."""
    candidates = [signature.content_type for signature in SIGNATURES if signature.format == decoded]
    normalized = normalize_content_type(declared)
    return normalized if normalized in candidates else next(iter(candidates), OTHER)
