"""The policies: what is limited for each client, and their text in `RateLimit-Policy` and `RateLimit`.

Both fields follow draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from thumbmill.core.contracts.limits import Policy
from thumbmill.gateway.limits.gcra import Balance

MINUTE, DAY = 60, 86_400


@dataclass(frozen=True)
class Rule:
    """How the quota of a policy is counted."""

    window: int | None  # in seconds; None: concurrent requests
    unit: str


RULES = {
    Policy.REQUESTS: Rule(MINUTE, "requests"),
    Policy.TICKETS: Rule(MINUTE, "requests"),
    Policy.BYTES: Rule(DAY, "content-bytes"),
    Policy.UPLOADS: Rule(None, "concurrent-requests"),
    Policy.LIVE: Rule(None, "concurrent-requests"),
}


def policy_field(balances: Iterable[tuple[Policy, Balance]]) -> str:
    """Return the value of `RateLimit-Policy`. Each gateway counts by itself, and the field says so."""
    items = []
    for policy, balance in balances:
        rule = RULES[policy]
        unit = "" if rule.unit == "requests" else f';qu="{rule.unit}"'
        window = "" if rule.window is None else f";w={rule.window}"
        items.append(f'"{policy}";q={balance.quota}{unit}{window};thumbmill-per="gateway"')
    return ", ".join(items)


def limit_field(balances: Iterable[tuple[Policy, Balance]]) -> str:
    """Return the value of `RateLimit`."""
    items = []
    for policy, balance in balances:
        has_time = RULES[policy].window is not None or not balance.is_accepted
        seconds = f";t={math.ceil(balance.seconds)}" if has_time else ""
        items.append(f'"{policy}";r={balance.remaining}{seconds}')
    return ", ".join(items)
