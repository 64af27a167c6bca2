"""Who gets links, and to which variants."""

import asyncio
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from pydantic_core import to_json
from starlette.requests import Request

from tests.unit.gateway.fakes import App, Namespace
from tests.unit.gateway.test_links import OLD, Clock, make_signer
from tests.unit.gateway.test_presenter import DONE, ID, VARIANT
from thumbmill.gateway.access.principal import ALL_SCOPES, Client, Principal, Scope
from thumbmill.gateway.api import links as api
from thumbmill.gateway.api.dependencies import links_for
from thumbmill.gateway.images.presenter import etag_of, to_image_out
from thumbmill.gateway.links.signer import LinkSigner
from thumbmill.gateway.links.signing_keys import SigningKeys
from thumbmill.gateway.live.changes import Change
from thumbmill.gateway.live.event_ids import EventId
from thumbmill.gateway.live.frames import group_frames, render_change
from thumbmill.gateway.live.subscriptions import Group
from thumbmill.gateway.problems import install_handlers

OTHER = VARIANT | {"type": "small", "key": VARIANT["key"].replace("thumbnail", "small")}


class Lookup:
    def __init__(self, row):
        self._row = row

    async def find(self, *_):
        return self._row


def create(row, *, scopes=ALL_SCOPES, signer=None, **body):
    """Request links to an image."""

    async def run():
        app = FastAPI()
        settings = Namespace(public_url="http://here")
        app.state.services = Namespace(link_signer=signer, lookup=Lookup(row), settings=settings)
        app.include_router(api.router)
        install_handlers(app)

        async def as_client(scope, receive, send):
            scope["state"] = {"client": Client(Principal("a client", scopes=frozenset(scopes)))}
            await app(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(as_client), base_url="http://here") as client:
            return await client.post(f"/api/v1/images/{ID}/links", json=body)

    return asyncio.run(run())


def test_links_are_made_for_the_available_variants():
    answer = create(replace(DONE, variants=[VARIANT, OTHER], missing=[OTHER["key"]]), signer=make_signer())
    assert answer.headers["cache-control"] == "no-store"
    assert [link["type"] for link in answer.json()["links"]] == ["thumbnail"]
    assert answer.json()["links"][0]["url"] == f"http://here{make_signer().sign(VARIANT['key']).path}"


def test_links_have_the_expiry_of_the_first_one_that_expires():
    moments = iter([1_796_083_199.9, 1_796_083_200.1])  # at the end of a day, and at the start of the next
    signer = LinkSigner(SigningKeys(OLD), 86_400, clock=lambda: next(moments))
    answer = create(replace(DONE, variants=[VARIANT, OTHER]), signer=signer).json()
    expiries = [int(link["url"].partition("?e=")[2].partition("&")[0]) for link in answer["links"]]
    assert expiries[1] - expiries[0] == 86_400
    assert answer["expires_at"] == "2026-12-02T00:00:00Z"
    assert expiries[0] == 1_796_169_600


@pytest.mark.parametrize(
    ("row", "options", "status", "code"),
    [
        (DONE, {"scopes": ALL_SCOPES - {Scope.SIGN}}, 403, "insufficient_scope"),
        (DONE, {"signer": None}, 403, "links_off"),
        (DONE, {"expires_in": 0}, 422, "invalid_request"),
        (DONE, {"expires_in": 31_536_001}, 422, "invalid_request"),
        (replace(DONE, status="DELETED"), {}, 410, "gone"),
        (replace(DONE, status="PENDING", variants=[]), {}, 409, "not_ready"),
        (replace(DONE, status="FAILED", variants=[]), {}, 404, "variant_not_found"),
        (replace(DONE, missing=[VARIANT["key"]]), {}, 409, "not_ready"),
    ],
)
def test_links_that_are_not_made(row, options, status, code):
    answer = create(row, **{"signer": make_signer()} | options)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def links_of_client(scopes, signer):
    app = App(settings=Namespace(public_url="http://here"), link_signer=signer)
    client = Client(Principal("a client", scopes=frozenset(scopes)))
    request = Request({"type": "http", "method": "GET", "headers": [], "app": app, "state": {"client": client}})
    return asyncio.run(links_for(request))


def test_an_image_has_signed_urls_only_for_a_client_that_may_sign():
    def signed_urls(scopes, signer):
        image = to_image_out(DONE, links_of_client(scopes, signer))
        return {variant.type: variant.signed_url for variant in image.variants}

    none = {"original": None, "thumbnail": None}
    assert signed_urls({Scope.READ}, make_signer()) == none
    assert signed_urls(ALL_SCOPES, None) == none
    signed = {**none, "thumbnail": f"http://here{make_signer().sign(VARIANT['key']).path}"}
    assert signed_urls({Scope.READ, Scope.SIGN}, make_signer()) == signed


def test_the_etag_of_an_image_changes_with_its_links():
    clock, signs, reads = Clock(), {Scope.SIGN}, {Scope.READ}

    def etag(scopes, keys=OLD):
        return etag_of(DONE, links_of_client(scopes, make_signer(keys, clock)))

    before, other_key, reader = etag(signs), etag(signs, f"other:{'o' * 32}"), etag(reads)
    assert before == etag(signs)
    clock.now += 86_400
    assert len({before, other_key, reader, etag(signs)}) == 4
    assert etag(reads) == reader


def test_clients_share_a_rendered_change_only_with_those_of_the_same_scope_and_window():
    change = Change(
        id=EventId("e1", 1),
        tenant="",
        image_id=ID,
        version=1,
        generation=1,
        type="image.done",
        batch=None,
        at=datetime(2026, 11, 29, tzinfo=UTC),
        data=to_json(asdict(DONE)).decode(),
    )
    group, clock = Group([change]), Clock()
    signing = links_of_client(ALL_SCOPES, make_signer(clock=clock))
    reading = links_of_client({Scope.READ}, make_signer(clock=clock))

    def signed_url(links):
        rendered = render_change(change, links)
        assert rendered in group_frames(group, links)
        return json.loads(rendered)["data"]["variants"][1]["signed_url"]

    today = signed_url(signing)
    assert today
    assert signed_url(reading) is None
    assert signed_url(signing) == today
    clock.now += 86_400
    assert signed_url(signing) not in {today, None}
