"""Limits of clients in requests: fields, problems, and what uploads cost."""

import asyncio
from contextlib import ExitStack

import pytest
from prometheus_client import REGISTRY
from starlette.responses import Response

from tests.unit.gateway.app_client import IMAGE_FILE, call
from tests.unit.gateway.fakes import FakeStorage, make_request, uploads_into
from tests.unit.gateway.live_fakes import EVERYTHING, FakeFeed, Gateway, run
from thumbmill.core.contracts.limits import Policy
from thumbmill.gateway.access.principal import Principal
from thumbmill.gateway.http import body_rate
from thumbmill.gateway.limits.gcra import Balance
from thumbmill.gateway.limits.limiter import RateLimiter, RateLimitFields, RequestLimits, limits_of
from thumbmill.gateway.limits.places import Places
from thumbmill.gateway.problems import Code, Problem

JPEG = b"\xff\xd8\xff\xe0" + b" image" * 20
LIMITS = "/api/v1/images"


def upload(limiter, **request):
    return call("POST", LIMITS, files=IMAGE_FILE, limiter=limiter, **request)


def test_each_response_to_a_limited_client_has_its_limits():
    limiter = RateLimiter({Policy.REQUESTS: 2})
    for remaining in (1, 0):
        response = upload(limiter)
        assert response.status_code == 202
        assert response.headers["RateLimit-Policy"] == '"requests";q=2;w=60;thumbmill-per="gateway"'
        assert response.headers["RateLimit"].startswith(f'"requests";r={remaining};t=')
    rejected = upload(limiter)
    assert rejected.status_code == 429
    assert rejected.json()["code"] == "rate_limited"
    assert rejected.json()["violated-policies"] == ["requests"]
    wait = int(rejected.headers["Retry-After"])
    assert rejected.headers["RateLimit"] == f'"requests";r=0;t={wait}'
    assert call("GET", "/health", limiter=limiter).status_code == 200, "probes are not limited"


def test_without_limits_there_are_no_fields():
    assert not {"ratelimit", "ratelimit-policy"} & {*upload(RateLimiter({})).headers}


def test_each_key_has_its_own_limit_and_a_wrong_one_costs_nothing():
    limiter = RateLimiter({Policy.REQUESTS: 1})
    keys = {"keys": ["a-key", "b-key"]}
    for _ in range(3):
        assert upload(limiter, headers={"X-API-Key": "wrong"}, **keys).status_code == 401
    statuses = [
        upload(limiter, headers={"X-API-Key": key}, **keys).status_code for key in ("a-key", "a-key", "b-key")
    ]
    assert statuses == [202, 429, 202]


def test_a_browser_page_of_another_origin_may_read_the_fields():
    response = upload(
        RateLimiter({Policy.REQUESTS: 1}), origins=["https://page"], headers={"Origin": "https://page"}
    )
    exposed = response.headers["Access-Control-Expose-Headers"]
    assert "RateLimit, RateLimit-Policy" in exposed


def test_the_legacy_route_says_429_too():
    limiter = RateLimiter({Policy.BYTES: 1})
    answers = [call("POST", "/upload-image/", files=IMAGE_FILE, limiter=limiter) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[-1].json()["violated-policies"] == ["bytes"]


def store(uploads, client, *, chunks=(JPEG,), complete=True, stuck=False, **headers):
    request = make_request(list(chunks), {"Content-Type": "image/jpeg", **headers}, complete=complete, stuck=stuck)
    limits_of(request.scope).client = client
    return uploads.store(request, client.tenant)


ANN, BOB, EVE = (Principal(name, key_id=name) for name in ("ann", "bob", "eve"))


def outcome(awaited):
    """Return the code of the problem that an upload ends with, or `stored`."""
    try:
        asyncio.run(awaited)
    except Problem as problem:
        return problem.code.value
    return "stored"


def test_an_upload_costs_the_bytes_of_its_file():
    size = len(JPEG)
    with uploads_into(FakeStorage(), limiter=RateLimiter({Policy.BYTES: 2 * size})) as uploads:
        length = {"Content-Length": str(size)}
        # 20 declared bytes that a form has besides its file are refunded
        assert outcome(store(uploads, ANN, **{"Content-Length": str(size + 20)})) == "stored"
        assert outcome(store(uploads, ANN, **length)) == "stored"
        assert outcome(store(uploads, ANN, **length)) == "rate_limited"
        assert outcome(store(uploads, BOB)) == "stored", "chunked: the size is known at the end"
        assert outcome(store(uploads, BOB)) == "stored"
        assert outcome(store(uploads, BOB, **length)) == "rate_limited"


def test_a_rejected_upload_costs_what_was_received():
    size = len(JPEG)
    with uploads_into(FakeStorage(), limiter=RateLimiter({Policy.BYTES: 3 * size})) as uploads:
        length = {"Content-Length": str(3 * size)}
        assert outcome(store(uploads, ANN, chunks=[b"not an image" * 3], **length)) == "unsupported_format"
        assert outcome(store(uploads, ANN, **{"Content-Length": str(2 * size)})) == "stored"


def test_a_client_that_holds_its_share_of_slots_leaves_one_to_others():
    async def scenario():
        storage = FakeStorage()
        with uploads_into(storage, slots=4) as uploads:
            tasks = [asyncio.create_task(store(uploads, ANN, stuck=True)) for _ in range(3)]
            await asyncio.sleep(0)
            refused = await asyncio.gather(store(uploads, ANN), return_exceptions=True)
            served = await store(uploads, BOB)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            again = await store(uploads, ANN)
            return refused[0], served, again

    refused, served, again = asyncio.run(scenario())
    assert refused.code.value == "too_many_uploads"
    assert served.bytes == again.bytes == len(JPEG)


async def slow_uploads(uploads, owners):
    """Start uploads that send nothing, and wait until each counts as slow."""
    tasks = [asyncio.create_task(store(uploads, owner, stuck=True)) for owner in owners]
    async with asyncio.timeout(10):
        while sum(1 for one in uploads._receiving if one.shortfall) < len(tasks):  # noqa: SLF001, ASYNC110
            await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize(
    ("owners", "client", "evicted"),
    [
        ([ANN, ANN, ANN, BOB], EVE, True),  # all places are taken
        ([ANN, ANN, ANN, BOB], BOB, True),
        ([BOB, ANN, ANN], ANN, True),  # one of its own, although another one is slower
        ([ANN, ANN, ANN], ANN, True),  # it has its share
        ([BOB, ANN], ANN, False),  # a place is free for it
    ],
)
def test_a_slow_upload_loses_its_slot_only_to_a_client_that_holds_no_more(monkeypatch, owners, client, evicted):
    monkeypatch.setattr(body_rate, "GRACE_SECONDS", 0)

    async def scenario():
        with uploads_into(FakeStorage(), slots=4) as uploads:
            tasks = await slow_uploads(uploads, owners)
            await store(uploads, client)
            lost = [owner for owner, task in zip(owners, tasks, strict=True) if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return lost

    assert asyncio.run(scenario()) == ([ANN] if evicted else [])


def test_a_client_beyond_its_bytes_takes_no_slot_from_a_slow_upload(monkeypatch):
    monkeypatch.setattr(body_rate, "GRACE_SECONDS", 0)

    async def scenario():
        size = {"Content-Length": str(len(JPEG))}
        with uploads_into(FakeStorage(), slots=1, limiter=RateLimiter({Policy.BYTES: len(JPEG)})) as uploads:
            await store(uploads, BOB, **size)
            [slow] = await slow_uploads(uploads, [ANN])
            refused = await asyncio.gather(store(uploads, BOB, **size), return_exceptions=True)
            await asyncio.sleep(0)
            is_evicted = slow.done()
            slow.cancel()
            return refused[0].code, is_evicted

    assert asyncio.run(scenario()) == (Code.RATE_LIMITED, False)


def test_an_upload_that_finds_no_slot_costs_no_bytes():
    async def scenario():
        size = {"Content-Length": str(len(JPEG))}
        with uploads_into(FakeStorage(), slots=1, limiter=RateLimiter({Policy.BYTES: len(JPEG)})) as uploads:
            first = asyncio.create_task(store(uploads, ANN, stuck=True))
            await asyncio.sleep(0)
            refused = await asyncio.gather(store(uploads, BOB, **size), return_exceptions=True)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return refused[0].code, (await store(uploads, BOB, **size)).bytes

    assert asyncio.run(scenario()) == (Code.TOO_MANY_UPLOADS, len(JPEG))


def rejections(policy):
    return REGISTRY.get_sample_value("thumbmill_rate_limited_total", {"policy": policy}) or 0


def test_only_a_429_counts_as_one_and_reports_the_violated_policy_alone():
    limiter, before = RateLimiter({Policy.LIVE: 1}), rejections("live-connections")
    full, client = Places(1), Principal("few", key_id="few")
    full.take(client)

    async def respond(scope, status):
        limits = limits_of(scope)
        limits.client = client
        limits.balances[Policy.REQUESTS] = Balance(quota=9, remaining=8, seconds=1)
        with pytest.raises(Problem):
            limiter.check_places(limits, Policy.LIVE, full)
        return await Response(status_code=status)(scope, None, scope["send"])

    def fields(status):
        sent = []

        async def send(message):
            sent.append(message)

        app = RateLimitFields(lambda scope, _, send: respond({**scope, "send": send}, status))
        asyncio.run(app({"type": "http"}, None, send))
        return dict(sent[0]["headers"])[b"ratelimit"].decode()

    assert fields(200) == '"requests";r=8;t=1, "live-connections";r=0;t=1', "a wait that was not applied"
    assert rejections("live-connections") == before
    assert fields(429) == '"live-connections";r=0;t=1'
    assert rejections("live-connections") == before + 1


def test_a_client_that_holds_its_share_of_live_connections_leaves_one_to_others():
    async def scenario():
        gateway = Gateway(FakeFeed(), max_connections=4)
        opened, refused = [], []
        with ExitStack() as stack:
            for client in (ANN, ANN, ANN, ANN, BOB):
                try:
                    stack.enter_context(gateway.hub.subscribe("stream", EVERYTHING, RequestLimits(client)))
                    opened.append(client)
                except Problem as problem:
                    refused.append((client, problem.code))
        await gateway.stop()
        return opened, refused

    assert run(scenario()) == ([ANN, ANN, ANN, BOB], [(ANN, Code.TOO_MANY_STREAMS)])


def test_a_key_with_few_live_connections_gets_the_limit_of_its_own():
    few = RequestLimits(Principal("few", key_id="few", limits={"live-connections": 1}))

    async def scenario():
        gateway = Gateway(FakeFeed(), max_connections=4)
        with (
            gateway.hub.subscribe("stream", EVERYTHING, few),
            pytest.raises(Problem) as raised,
            gateway.hub.subscribe("stream", EVERYTHING, few),
        ):
            pass
        with gateway.hub.subscribe("stream", EVERYTHING, few):
            await gateway.stop()
        return raised.value

    problem = run(scenario())
    assert (problem.code, problem.members) == (Code.RATE_LIMITED, {"violated-policies": ["live-connections"]})
