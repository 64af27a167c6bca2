"""The thumbnailer's own metrics; those that every consumer has are in ``thumbmill.core.metrics``."""

from prometheus_client import Counter, Histogram

EVENTS_PUBLISHED = Counter("thumbmill_events_published", "Lifecycle events published", ["type"])
OUTCOMES = Counter(
    "thumbmill_events_processed", "Bucket events, by outcome: done, failed, removed, superseded", ["outcome"]
)
VARIANTS_DELETED = Counter("thumbmill_variants_deleted", "Variants deleted: their original was deleted or replaced")
DECODING = Histogram(
    "thumbmill_decoding_seconds",
    "Time in a decoder's child, second tries included, waiting for a free one not",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
DEATHS = Counter("thumbmill_decoder_deaths", "Decoder children that died of a picture", ["code"])
INTERRUPTIONS = Counter(
    "thumbmill_decoder_interruptions", "Decoder children that stood still or were killed, whatever the picture"
)
SLOW = Counter("thumbmill_slow_pictures", "Pictures that were decoded in the lane of slow ones")
RETIREMENTS = Counter("thumbmill_decoder_retirements", "Decoder children replaced after their share of pictures")
