"""What the tracker counts in addition to the metrics of every consumer."""

from prometheus_client import Counter, Gauge

EVENTS = Counter("thumbmill_tracker_events", "Events by type and by source", ["type", "recorded_by"])
CONFLICTS = Counter("thumbmill_tracker_conflicts", "Batches redone because another writer wrote the same rows")
REPUBLISHED = Counter(
    "thumbmill_tracker_republished", "Events republished to the thumbnailer", ["found_by", "event"]
)
CAUGHT_UP_TO = Gauge(
    "thumbmill_tracker_caught_up_to_seconds", "Time, in seconds since 1970, up to which every event has been seen"
)
QUEUE_LENGTH = Gauge("thumbmill_queue_length", "Messages that wait in a queue, as of the last sweep", ["queue"])
SUPERSEDED = Counter(
    "thumbmill_tracker_superseded_dead_letters", "Dead letters dropped since a later run decided about their image"
)
PURGED = Counter(
    "thumbmill_tracker_purged", "Expired rows, events without a row, and old changes that were purged", ["kind"]
)
REJECTED = Counter("thumbmill_tracker_rejected_objects", "Objects deleted because their form was no longer valid")
NOTIFICATIONS_SILENT = Gauge(
    "thumbmill_notifications_silent",
    "1 while a notification target announces no heartbeat of the bucket",
    ["target"],
)
DRIFT_REPAIRED = Counter(
    "thumbmill_reconcile_repaired", "Images whose row and buckets differed, repaired", ["drift"]
)
RECONCILE_OBJECTS = Counter("thumbmill_reconcile_objects", "Objects and rows compared", ["bucket"])
RECONCILE_PASS_ENDED = Gauge(
    "thumbmill_reconcile_pass_ended_seconds",
    "Time, in seconds since 1970, at which this process ended a pass",
)
