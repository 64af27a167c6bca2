"""The thumbnailer's own metrics; those of every consumer are in ``thumbmill.core.metrics``."""

from prometheus_client import Counter, Histogram

EVENTS_PUBLISHED = Counter("thumbmill_events_published", "Lifecycle events published", ["type"])
OUTCOMES = Counter(
    "thumbmill_events_processed", "Bucket events, by outcome: done, failed, removed, superseded", ["outcome"]
)
VARIANTS_DELETED = Counter("thumbmill_variants_deleted", "Variants deleted: their original was deleted or replaced")
DECODE_SECONDS = Histogram(
    "thumbmill_decode_seconds",
    "Time in a decoder's child, with second tries, without the wait for a free child",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
DECODER_DEATHS = Counter("thumbmill_decoder_deaths", "Decoder children that an image killed", ["code"])
INTERRUPTIONS = Counter(
    "thumbmill_decoder_interruptions", "Decoder children that stalled or were killed, whatever the image"
)
SLOW_IMAGES = Counter("thumbmill_slow_images", "Images that were decoded in the slow lane")
RETIREMENTS = Counter("thumbmill_decoder_retirements", "Decoder children replaced after their share of images")
