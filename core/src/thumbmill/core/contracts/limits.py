"""What is limited for each client of the gateways: an API key may have limits of its own."""

from enum import StrEnum


class Policy(StrEnum):
    """Names of the limits: in HTTP fields, in `violated-policies`, in metrics, and in the limits of a key."""

    REQUESTS = "requests"
    TICKETS = "tickets"
    BYTES = "bytes"
    UPLOADS = "concurrent-uploads"
    LIVE = "live-connections"
