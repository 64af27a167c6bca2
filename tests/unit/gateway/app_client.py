"""The application without its servers."""

import asyncio

import httpx

from tests.unit.gateway.access_fakes import authenticator
from tests.unit.gateway.fakes import NO_LIMITS, FakeStorage, Namespace, uploads_into
from thumbmill.gateway.api.app import create_app
from thumbmill.gateway.operations.orders import Orders
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.readiness import ReadinessReport

IMAGE = "/api/v1/images/01a2019e-dd49-7c49-9ece-607b56bd764f"
NONE = "this endpoint accepts no parameters"
IMAGE_FILE = {"file": ("cat.jpg", b"\xff\xd8\xff\xe0 image")}


class BrokenRepository:
    async def page(self, *_):
        raise RuntimeError("a bug")


class Ready:
    async def check(self):
        return ReadinessReport()


class FakeAdmission:
    def __init__(self, *, is_backlogged):
        self.is_backlogged = is_backlogged

    def check_capacity(self, endpoint):
        if self.is_backlogged:
            raise Problem(Code.TOO_MANY_WAITING, endpoint)


def call(
    method,
    path,
    *,
    keys=(),
    origins=(),
    is_backlogged=False,
    stuck="",
    public_url="",
    proxies=(),
    monitoring_key="",
    console=None,
    limiter=NO_LIMITS,
    known=(),
    **request,
):
    async def run():
        with uploads_into(FakeStorage(), limiter=limiter) as uploads:
            app = create_app(
                Namespace(
                    settings=Namespace(
                        public_url=public_url,
                        origins=list(origins),
                        proxies=list(proxies),
                        hosts=frozenset({"here"}),
                        trusted_origins=frozenset(origins),
                    ),
                    authenticator=authenticator(keys, monitoring_key, known=known, allows_anonymous=not keys),
                    limiter=limiter,
                    admission=FakeAdmission(is_backlogged=is_backlogged),
                    uploads=uploads,
                    repository=BrokenRepository(),
                    link_signer=None,
                    liveness=Namespace(failure=stuck),
                    readiness=Ready(),
                    console=console,
                    operations=Namespace(orders=Orders(None, None, None, enabled=True)),
                )
            )
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **request)

    return asyncio.run(run())
