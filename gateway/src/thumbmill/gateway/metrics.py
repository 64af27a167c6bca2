"""Metrics of the gateway."""

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUEST_SECONDS = Histogram(
    "thumbmill_http_request_seconds",
    "Time to answer an HTTP request, by the pattern of its route; without streams and waits",
    ["method", "route", "status"],
    buckets=_BUCKETS,
)
LIVE_CONNECTIONS = Gauge(
    "thumbmill_live_connections", "Open streams, and requests that wait for a change", ["kind"]
)
LIVE_CONNECTIONS_REJECTED = Counter(
    "thumbmill_live_connections_rejected",
    "Streams rejected, and waits cut to nothing, because of `MAX_LIVE_CONNECTIONS` or the gateway's stop",
    ["kind"],
)
SLOW_STREAMS = Counter("thumbmill_slow_streams", "Streams closed because their client read too slowly")
UPLOADS = Counter(
    "thumbmill_uploads",
    "Uploads by outcome: stored, replayed, client_disconnected, or the code of a problem",
    ["outcome"],
)
UPLOAD_BYTES = Counter("thumbmill_upload_bytes", "Bytes of stored files")
UPLOADS_RUNNING = Gauge(
    "thumbmill_uploads_running", "Uploads in progress, including those whose object store request has not ended"
)
UPLOADS_PLACES = Gauge("thumbmill_uploads_places", "Places for uploads (`MAX_CONCURRENT_UPLOADS`)")
RATE_LIMITED = Counter(
    "thumbmill_rate_limited", "Requests rejected with a 429 because their client exceeds a policy", ["policy"]
)
UPLOAD_STORE_SECONDS = Histogram(
    "thumbmill_upload_store_seconds",
    "Time of one object store request of an upload: put, or create, part and complete of a multipart upload",
    ["request"],
    buckets=_BUCKETS,
)
CONNECTIONS_REJECTED = Counter(
    "thumbmill_connections_rejected", "Connections closed because of an HTTP violation or a limit", ["code"]
)
PRESIGNED_UPLOADS = Counter("thumbmill_presigned_uploads", "Tickets created")
TRACKER_REQUESTS = Counter("thumbmill_tracker_requests", "Requests published for the status tracker", ["type"])
UPLOADS_REJECTED = Counter(
    "thumbmill_uploads_rejected",
    "Uploads and tickets rejected because too many images wait, or one for too long",
    ["endpoint", "limit"],
)
