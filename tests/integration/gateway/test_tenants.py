"""A client sees the images of its own tenant only: each route and each way to upload is tried for three tenants."""

import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.gateway.conftest import ORIGINALS, SETTINGS
from tests.support import tenant_gateway
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.contracts.tenants import has_tenant_tag
from thumbmill.gateway.api.app import create_routes

OWNER = "acme"
INTRUDERS = ("", "other")  # the default tenant, too
BATCH = "album"
FILE = "a-file-of-acme.jpg"
COMMAND = [sys.executable, str(Path(tenant_gateway.__file__))]

# Routes that take an upload, and those that are about no image. Every other route is walked.
UPLOADS = {
    ("POST", "/api/v1/images"),
    ("POST", "/upload-image/"),
    ("POST", "/api/v1/uploads"),
    ("GET", "/api/v1/s3/params"),
    ("POST", "/api/v1/s3/multipart"),
}
WITHOUT_IMAGES = {"/api/v1/limits", "/api/v1/session", "/health", "/livez", "/readyz"}
BY_SIGNATURE = {"/i/{key}"}  # open to everyone who has the link
BODIES = {
    "/api/v1/uploads/{image_id}/parts": {"numbers": [1]},
    "/api/v1/s3/multipart/{upload_id}/complete": {"parts": []},
}
FILTERS = ("key", "batch", "image")


def list_routes():
    """Return method, path, names of parameters and scopes of every route, as OpenAPI describes them."""
    return [
        (
            method.upper(),
            path,
            [parameter["name"] for parameter in described.get("parameters", ())],
            {scope for way in described.get("security") or () for scopes in way.values() for scope in scopes},
        )
        for path, methods in create_routes().openapi()["paths"].items()
        for method, described in methods.items()
    ]


ROUTES = [
    (method, path, names, scopes)
    for method, path, names, scopes in list_routes()
    if (method, path) not in UPLOADS and path not in WITHOUT_IMAGES | BY_SIGNATURE
]


@dataclass(frozen=True)
class Images:
    """What the owner has."""

    done: uuid.UUID
    failed: uuid.UUID
    key: str
    upload: dict  # a resumable upload that has begun

    @property
    def secrets(self):
        """Texts that no response to another tenant may contain."""
        return [str(self.done), str(self.failed), self.key, self.upload["id"], self.upload["upload_id"], FILE]

    def fill(self, path):
        """Return the URL of a route for the owner's images, and the values of its parameters."""
        image_id = self.failed if path.endswith(("/retry", "/redrive")) else self.done
        values = {
            "image_id": self.upload["id"] if path.startswith("/api/v1/uploads/") else str(image_id),
            "type": "thumbnail",
            "batch": BATCH,
            "upload_id": self.upload["upload_id"],
            "number": "1",
            "run_id": str(uuid.uuid4()),
            "redrive_id": str(uuid.uuid4()),
        }
        return path.format_map(values), values | {
            "key": self.upload["key"] if "/s3/" in path else self.key,
            "image": str(self.done),
            "after": "earliest",
            "partNumbers": "1",
        }


@pytest.fixture(scope="module")
def gateway(system):
    system.stack.restart("gateway", command=COMMAND, **SETTINGS)
    yield system
    system.stack.restart("gateway", **SETTINGS)


@pytest.fixture
def images(gateway):
    gateway.reset()
    of_owner = {"tenant": OWNER, "batch": BATCH, "file_name": FILE}
    image_id = new_image_id(OWNER)
    key = upload_key(image_id, OWNER)
    gateway.s3.put_object(Bucket=ORIGINALS, Key=key, Body=b"original")
    done = gateway.put_done(id=image_id, key=key, **of_owner)
    gateway.put_changes("DONE", image_id=done, batch=BATCH, tenant=OWNER)
    failed = new_image_id(OWNER)
    error = '{"code": "attempts_exhausted", "detail": "It failed.", "retryable": true}'
    gateway.put_row(id=failed, key=upload_key(failed, OWNER), status="FAILED", error=error, **of_owner)
    gateway.put_row(id=uuid.uuid4(), key="a key", batch=BATCH)  # of the default tenant, with the same batch
    gateway.catch_up()
    wanted = {"method": "parts", "content_type": "image/jpeg", "file_name": FILE, "bytes": 6_000_000}
    started = gateway.client.post("/api/v1/uploads", json=wanted, headers={"X-Tenant": OWNER})
    assert started.status_code == 201, started.text
    return Images(done, failed, key, started.json())


def send(gateway, images, tenant, method, path, names, **filters):
    url, values = images.fill(path)
    known = {
        name: values[name]
        for name in names
        if name in {"upload_id", "key", "partNumbers"} and "/images" not in path
    }
    known |= {"after": "earliest"} if "after" in names else {}
    headers = {"X-Tenant": tenant}
    body = {"json": BODIES.get(path, {})} if method == "POST" else {}
    return gateway.client.request(method, url, params=known | filters, headers=headers, **body)


def is_about_one_image(path):
    return "{image_id}" in path or "{upload_id}" in path


@pytest.mark.parametrize("tenant", INTRUDERS)
def test_no_route_shows_or_changes_an_image_of_another_tenant(gateway, images, tenant):
    before = gateway.keys()
    for method, path, names, scopes in ROUTES:
        if "stream" in path and not is_about_one_image(path):
            assert_stream_shows_nothing(gateway, images, tenant, path)
        elif "admin" in scopes and (tenant or not is_about_one_image(path)):
            # Operators see the installation as a whole. No key of a tenant can do that.
            if tenant:
                response = send(gateway, images, tenant, method, path, names)
                assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope"), path
        elif is_about_one_image(path):
            has_head = method == "GET" and "stream" not in path  # of a stream: 200 for every id
            for sent in {method, "HEAD"} if has_head else {method}:
                response = send(gateway, images, tenant, sent, path, names)
                assert response.status_code == 404, (sent, path, response.text)
                assert_shows_nothing(images, response.text, path)
        else:
            assert method == "GET", f"{method} {path}: is it an upload, or about an image?"
            wanted = [
                {},
                *(
                    {name: images.fill(path)[1][name]}
                    for name in FILTERS
                    if name in names and f"{{{name}}}" not in path
                ),
            ]
            for filters in wanted:
                response = send(gateway, images, tenant, method, path, names, **filters)
                assert response.status_code == 200, (path, filters, response.text)
                assert_shows_nothing(images, response.text, (path, filters))
    assert gateway.keys() == before


def assert_shows_nothing(images, text, what):
    assert [secret for secret in images.secrets if secret in text] == [], what


def assert_stream_shows_nothing(gateway, images, tenant, path):
    """Follow a stream with what has been missed, until a change of the client's own comes."""
    url, headers = images.fill(path)[0], {"X-Tenant": tenant}
    mark, text = "", ""
    with gateway.client.stream("GET", url, params={"last_event_id": "earliest"}, headers=headers) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if not mark:
                gateway.put_changes("PROCESSING", "DONE", image_id=images.done, batch=BATCH, tenant=OWNER)
                mark = str(gateway.put_changes("DONE", batch=BATCH, tenant=tenant))
            text += line
            if mark in text:
                break
    assert_shows_nothing(images, text, path)


def test_every_route_shows_its_owner_the_image(gateway, images):
    """So the test above tries what exists."""
    order = {"GET": 0, "POST": 1, "DELETE": 2}
    for method, path, names, scopes in sorted(ROUTES, key=lambda route: order[route[0]]):
        if is_about_one_image(path) and "stream" not in path and "admin" not in scopes:
            response = send(gateway, images, OWNER, method, path, names)
            assert response.status_code != 404, (method, path, response.text)
            assert response.status_code < 500, (method, path, response.text)
    for path in ("/api/v1/images", "/api/v1/changes?after=earliest", "/api/v1/batches/album"):
        found = gateway.client.get(path, headers={"X-Tenant": OWNER}).json()
        assert found.get("items") or found["total"] == 2, path


def test_a_batch_counts_the_images_of_its_tenant(gateway, images):
    for tenant, total in ((OWNER, 2), ("other", 0)):
        found = gateway.client.get(f"/api/v1/batches/{BATCH}", headers={"X-Tenant": tenant}).json()
        assert found["total"] == total


@pytest.mark.parametrize("tenant", ["", OWNER])
def test_every_upload_is_stored_for_the_tenant_of_its_client(gateway, photo, tenant):
    headers = {"X-Tenant": tenant}
    form, described = {"file": ("a.jpg", photo)}, {"content_type": "image/jpeg", "file_name": "a.jpg"}
    wanted = {
        ("POST", "/api/v1/images"): {"files": form},
        ("POST", "/upload-image/"): {"files": form},
        ("POST", "/api/v1/uploads"): {"json": described},
        ("GET", "/api/v1/s3/params"): {"params": {"filename": "a.jpg", "type": "image/jpeg"}},
        ("POST", "/api/v1/s3/multipart"): {"json": {"filename": "a.jpg", "type": "image/jpeg"}},
    }
    assert set(wanted) == UPLOADS
    for (method, path), body in wanted.items():
        response = gateway.client.request(method, path, headers=headers, **body)
        assert response.status_code in {200, 201, 202}, (path, response.text)
        found = response.json()
        key = found.get("key") or found["fields"]["key"]
        assert key.startswith("t/acme/uploads/" if tenant else "uploads/"), path
        assert has_tenant_tag(image_id_of(key), tenant), path
        assert image_id_of(key).version == 7, path


@pytest.mark.parametrize("method", ["form", "parts"])
def test_the_signers_may_store_what_a_tenant_uploads(gateway, photo, method):
    wanted = {"method": method, "content_type": "image/jpeg", "bytes": len(photo)}
    headers = {"X-Tenant": OWNER}
    ticket = gateway.client.post("/api/v1/uploads", json=wanted, headers=headers).json()
    if method == "form":
        sent = httpx.post(ticket["form"]["url"], data=ticket["form"]["fields"], files={"file": photo})
    else:
        urls = gateway.client.post(ticket["parts_url"], json={"numbers": [1]}, headers=headers).json()
        sent = httpx.put(urls["1"]["url"], content=photo)
        done = gateway.client.post(ticket["complete_url"], json={}, headers=headers)
        assert done.status_code == 202, done.text
    assert sent.status_code in {200, 204}, sent.text
    assert gateway.s3.head_object(Bucket=ORIGINALS, Key=ticket["key"])["ContentLength"] == len(photo)
