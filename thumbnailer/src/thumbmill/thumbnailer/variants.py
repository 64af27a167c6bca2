"""The variants of an image in images-processed."""

from collections.abc import Iterable
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from uuid import UUID

from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.identity import VARIANTS_BUCKET, image_id_of, variant_key, variant_prefix
from thumbmill.core.object_store.store import Storage
from thumbmill.thumbnailer.imaging.model import EncodedVariant
from thumbmill.thumbnailer.metrics import VARIANTS_DELETED
from thumbmill.thumbnailer.sandbox.process import Decoded


@dataclass(frozen=True)
class VariantStore:
    """Stores variants under keys that follow from the original's bytes and from ``version``."""

    storage: Storage
    version: str  # of the presets and the recipe; part of every key
    executor: Executor  # stores the variants of one image at the same time

    def put_all(self, original_key: str, decoded: Decoded) -> list[Variant]:
        """Store every variant, at the same time. Raise DependencyUnavailable once none is being stored."""
        first, *others = decoded.image.variants
        requests = [self.executor.submit(self._put, original_key, decoded.sha256, other) for other in others]
        try:
            stored = self._put(original_key, decoded.sha256, first)  # here: a single variant costs no other thread
        finally:
            wait(requests)
        return [stored, *(request.result() for request in requests)]

    def delete(self, variants: Iterable[Variant]) -> None:
        """Delete these variants. Raise DependencyUnavailable."""
        self._delete_keys([variant.key for variant in variants])

    def delete_all(self, image_id: UUID) -> None:
        """Delete all variants of an image, also those of earlier originals. Raise DependencyUnavailable."""
        self._delete_keys(self.storage.list_keys(VARIANTS_BUCKET, variant_prefix(image_id)))

    def _put(self, original_key: str, sha256: str, variant: EncodedVariant) -> Variant:
        key = variant_key(image_id_of(original_key), sha256, variant.preset, self.version, variant.extension)
        self.storage.put(VARIANTS_BUCKET, key, variant.data, variant.content_type)
        return Variant(
            type=variant.preset,
            key=key,
            width=variant.width,
            height=variant.height,
            bytes=len(variant.data),
            content_type=variant.content_type,
        )

    def _delete_keys(self, keys: list[str]) -> None:
        if keys:
            self.storage.delete_all(VARIANTS_BUCKET, keys)
            VARIANTS_DELETED.inc(len(keys))
