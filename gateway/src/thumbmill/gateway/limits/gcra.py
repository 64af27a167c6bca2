"""GCRA, the generic cell rate algorithm (https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). Pure.

The state of a client is one number: the time at which its whole quota is available again. A quota may be used at
once, and comes back at an even rate.
"""

import math
from dataclasses import dataclass

# Of the window, since sums of floating point numbers are not exact.
_TOLERANCE = 1e-6
_ROUNDING = 1e-9  # of the units that are left


@dataclass(frozen=True)
class Balance:
    """What is left of a quota after a request, or what a rejected request found."""

    quota: int
    remaining: int
    seconds: float  # until this request would be accepted, or, after an accepted one, until there is more
    is_accepted: bool = True


def charge(whole_at: float, now: float, *, quota: int, window: float, cost: float = 1) -> tuple[float, Balance]:
    """Charge a cost if the quota has it. Return the new state, and the balance.

    A cost above the whole quota needs the whole quota, and leaves a debt. Otherwise it would be rejected for ever.
    """
    per_unit = window / quota
    used = max(0.0, whole_at - now)  # in seconds of the rate
    excess = used + min(cost, quota) * per_unit - window
    if excess > window * _TOLERANCE:
        return whole_at, Balance(quota, _units(window - used, per_unit, window), excess, is_accepted=False)
    used += cost * per_unit
    remaining = _units(window - used, per_unit, window)
    return now + used, Balance(quota, remaining, max(0.0, used - window + min(remaining + 1, quota) * per_unit))


def add(whole_at: float, now: float, *, quota: int, window: float, cost: float) -> float:
    """Return the state after a cost that nothing can reject any more, or after a refund, which is negative."""
    return max(0.0, whole_at - now) + now + cost * window / quota


def _units(seconds: float, per_unit: float, window: float) -> int:
    return max(0, math.floor((seconds + window * _ROUNDING) / per_unit))
