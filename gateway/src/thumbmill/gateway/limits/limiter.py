"""The limits of each client on this gateway, and the fields that report them in responses."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumbmill.core.contracts.limits import Policy
from thumbmill.gateway.access.principal import ANONYMOUS, Principal
from thumbmill.gateway.limits import gcra
from thumbmill.gateway.limits.gcra import Balance
from thumbmill.gateway.limits.places import Places
from thumbmill.gateway.limits.policies import RULES, limit_field, policy_field
from thumbmill.gateway.metrics import RATE_LIMITED
from thumbmill.gateway.problems import Code, Problem

_KEY = "thumbmill.request_limits"  # in the ASGI scope
MIN_STATES = 10_000  # that are kept before those of idle clients are dropped


@dataclass
class RequestLimits:
    """Whose limits a request counts against, and the balances that its response reports."""

    client: Principal = ANONYMOUS
    balances: dict[Policy, Balance] = field(default_factory=dict)
    violated: Policy | None = None  # a 429 reports this one alone


def limits_of(scope: Scope) -> RequestLimits:
    """Return the limits of a request."""
    found: RequestLimits = scope.setdefault(_KEY, RequestLimits())
    return found


class RateLimiter:
    """Charges clients. A limit of 0 is none; the limits of a key win over those of the settings."""

    def __init__(self, limits: Mapping[Policy, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._whole_at: dict[tuple[Policy, str, str], float] = {}
        self._max_states = MIN_STATES

    def charge(self, request: RequestLimits, policy: Policy, cost: int = 1) -> None:
        """Charge a request's client. Raise Problem if it exceeds the limit of this policy.

        A request for n things costs n.
        """
        quota, window, now = self._quota(request.client, policy), RULES[policy].window, self._clock()
        if not quota or window is None:
            return
        key = (policy, request.client.tenant, request.client.name)
        whole_at, balance = gcra.charge(self._whole_at.get(key, 0.0), now, quota=quota, window=window, cost=cost)
        self._store(key, whole_at, now)
        if not balance.is_accepted:
            raise rejection(request, policy, balance)
        request.balances[policy] = balance

    def settle(self, request: RequestLimits, policy: Policy, difference: int) -> None:
        """Charge what a request cost beyond what it was charged, or refund what it did not use."""
        quota, window, now = self._quota(request.client, policy), RULES[policy].window, self._clock()
        if not quota or window is None or not difference:
            return
        key = (policy, request.client.tenant, request.client.name)
        whole_at = gcra.add(self._whole_at.get(key, 0.0), now, quota=quota, window=window, cost=difference)
        self._store(key, whole_at, now)

    def check_places(self, request: RequestLimits, policy: Policy, places: Places) -> None:
        """Raise Problem if a client holds as many places as it may, whether or not others are free."""
        quota = self._quota(request.client, policy)
        if not quota:
            return
        remaining = max(0, quota - places.held_by(request.client))
        balance = Balance(quota, max(0, remaining - 1), 1, is_accepted=remaining > 0)
        if not balance.is_accepted:
            raise rejection(request, policy, balance)
        request.balances[policy] = balance

    def _quota(self, client: Principal, policy: Policy) -> int:
        return client.limits.get(policy, self._limits.get(policy, 0))

    def _store(self, key: tuple[Policy, str, str], whole_at: float, now: float) -> None:
        self._whole_at[key] = whole_at
        if len(self._whole_at) > self._max_states:
            self._whole_at = {one: at for one, at in self._whole_at.items() if at > now}
            self._max_states = max(MIN_STATES, 2 * len(self._whole_at))


def rejection(request: RequestLimits, policy: Policy, balance: Balance) -> Problem:
    """Return the problem for a request that exceeds a policy."""
    request.balances[policy] = balance
    request.violated = policy
    seconds = max(1, math.ceil(balance.seconds))
    problem = Problem(
        Code.RATE_LIMITED,
        f"the limit of {policy.value} is {balance.quota}{_PER[RULES[policy].window]}: try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )
    problem.members["violated-policies"] = [policy.value]
    return problem


_PER = {60: " a minute", 86_400: " a day", None: ""}


class RateLimitFields:
    """An ASGI middleware that adds `RateLimit-Policy` and `RateLimit` to the responses of limited requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = limits_of(scope)

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start" and request.balances:
                balances = request.balances
                if message["status"] == 429 and request.violated:
                    balances = {request.violated: balances[request.violated]}
                    RATE_LIMITED.labels(request.violated.value).inc()
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = policy_field(balances.items())
                headers["RateLimit"] = limit_field(balances.items())
            await send(message)

        await self._app(scope, receive, send_response)
