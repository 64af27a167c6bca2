"""The consumers' metrics, in one place; the gateway's are in its own ``metrics.py``."""

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES = Counter("thumbmill_deliveries", "Messages by what became of them", ["queue", "action"])
IGNORED = Counter("thumbmill_events_ignored", "Valid events that are not for us", ["reason"])
HANDLING = Histogram(
    "thumbmill_handling_seconds",
    "Time from the start of a handler to its verdict",
    ["queue"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
IN_PROGRESS = Gauge("thumbmill_messages_in_progress", "Messages being handled", ["queue"])
RECONNECTS = Counter("thumbmill_broker_reconnects", "Connections to RabbitMQ that were lost or refused")
