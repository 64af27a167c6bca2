"""What the tracker counts beside the metrics of every consumer."""

from prometheus_client import Counter, Gauge

FACTS = Counter("thumbmill_tracker_facts", "Facts by type and by who told", ["type", "by"])
CONFLICTS = Counter("thumbmill_tracker_conflicts", "Batches redone since somebody else wrote the same rows")
RECOVERED = Counter("thumbmill_tracker_recovered", "Events told to the thumbnailer again", ["found_by", "event"])
CAUGHT_UP_TO = Gauge(
    "thumbmill_tracker_caught_up_to_seconds", "Time, in seconds since 1970, up to which every fact has been seen"
)
QUEUE_LENGTH = Gauge("thumbmill_queue_length", "Messages that wait in a queue, as of the last sweep", ["queue"])
PURGED = Counter("thumbmill_tracker_purged", "Rows, or facts without a row, whose time was over", ["what"])
WITHDRAWN = Counter("thumbmill_tracker_withdrawn", "Objects removed that a form was no longer good for")
SILENT = Gauge(
    "thumbmill_notifications_silent",
    "1 while a notification target tells of no heartbeat in the bucket",
    ["target"],
)
RECONCILED = Counter("thumbmill_reconciled", "Images whose row and buckets differed, put right", ["what"])
RECONCILE_OBJECTS = Counter("thumbmill_reconcile_objects", "Objects and rows compared", ["bucket"])
RECONCILE_PASS_ENDED = Gauge(
    "thumbmill_reconcile_pass_ended_seconds",
    "Time, in seconds since 1970, at which this process ended a pass",
)
