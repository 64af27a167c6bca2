"""The check of a variant's key and content type, the same for events and for responses."""

import uuid

from thumbmill.core.contracts.identity import image_id_of_variant

# Browsers execute nothing in these.
VARIANT_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif"})


def find_variant_error(key: str, content_type: str, image_id: uuid.UUID) -> str:
    """Return why an object cannot be a variant of this image, by its key and type; empty if it can."""
    if image_id_of_variant(key) != image_id:
        return f"the variant {key[:200]!r} does not belong to image {image_id}"
    if content_type not in VARIANT_TYPES:
        return f"a variant cannot be {content_type[:100]!r}"
    return ""
