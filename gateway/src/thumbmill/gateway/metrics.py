"""The gateway's metrics, in one place."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Histogram(
    "thumbmill_http_seconds",
    "Time to answer, by the route's pattern",
    ["method", "route", "status"],
    buckets=_SECONDS,
)
UPLOADS = Counter("thumbmill_uploads", "Uploads by how they ended: stored, gone, or a problem's code", ["outcome"])
UPLOAD_BYTES = Counter("thumbmill_upload_bytes", "Bytes of stored files")
UPLOADS_RUNNING = Gauge("thumbmill_uploads_running", "Uploads under way, with those whose store call has not ended")
STORE_SECONDS = Histogram(
    "thumbmill_store_seconds",
    "Time that the store took for one step of an upload: put, or start, part, finish",
    ["step"],
    buckets=_SECONDS,
)
CONNECTIONS_REJECTED = Counter(
    "thumbmill_refused", "Connections closed for what was sent on them, or not, by problem", ["code"]
)
PRESIGNED_UPLOADS = Counter("thumbmill_presigned_uploads", "Tickets given out")
TRACKER_REQUESTS = Counter("thumbmill_requested", "What was asked of the tracker", ["kind"])
UPLOADS_REJECTED = Counter(
    "thumbmill_uploads_rejected",
    "Uploads and tickets refused since too many images wait, or one for too long",
    ["endpoint", "limit"],
)
