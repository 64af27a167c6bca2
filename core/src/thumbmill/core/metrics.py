"""Metrics of all consumers; each service has more in its own ``metrics.py``."""

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES = Counter("thumbmill_deliveries", "Deliveries, by what the ack table decided", ["queue", "action"])
IGNORED = Counter("thumbmill_events_ignored", "Valid events that need no handling", ["reason"])
HANDLING = Histogram(
    "thumbmill_handling_seconds",
    "Duration of a handler",
    ["queue"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
IN_PROGRESS = Gauge("thumbmill_messages_in_progress", "Messages in a handler now", ["queue"])
RECONNECTS = Counter("thumbmill_broker_reconnects", "Connections to RabbitMQ that were lost or rejected")
