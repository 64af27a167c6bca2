"""What may be shown as a variant of an image: one rule for the fact that tells of it and for every way out."""

import uuid

from thumbmill.core.contracts.identity import image_id_of_variant

# Nothing of it is run by a browser.
VARIANT_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif"})


def find_variant_error(key: str, content_type: str, image_id: uuid.UUID) -> str:
    """Return why an object is no variant of this image (it is another's, or no picture); empty if it may be one."""
    if image_id_of_variant(key) != image_id:
        return f"the variant {key[:200]!r} is none of image {image_id}"
    if content_type not in VARIANT_TYPES:
        return f"a variant cannot be {content_type[:100]!r}"
    return ""
