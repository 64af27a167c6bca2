"""Images that are there already, found by an idempotency key or by their bytes: nothing needs to be uploaded."""

from fastapi import Request

from thumbmill.core.contracts.status import Status
from thumbmill.gateway.access.principal import Principal
from thumbmill.gateway.api.parts import UploadRequest
from thumbmill.gateway.api.waiting import replayed_header
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.prefer import prefers_existing
from thumbmill.gateway.http.repr_digest import parse_sha256
from thumbmill.gateway.images.models import ExistingImage
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.live.waits import VARY
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.idempotency import IdempotencyKey
from thumbmill.gateway.urls import links_of

Existing = tuple[ExistingImage, dict[str, str]]  # with the headers of the response


async def find_for_ticket(
    request: Request, services: Services, principal: Principal, wanted: UploadRequest, key: IdempotencyKey | None
) -> Existing | None:
    """Return the image for which no ticket is needed, if there is one. Raise Problem."""
    if key and (row := await _find_by_key(services, key, wanted)):
        return _existing(request, row, is_replayed=True)
    if wanted.sha256 and (row := await services.repository.find_same_bytes(wanted.sha256, principal.tenant)):
        return _existing(request, row, is_replayed=False)
    return None


async def find_preferred(request: Request, services: Services, principal: Principal) -> Existing | None:
    """Return an image with the bytes of `Repr-Digest`, if the client prefers that. Raise Problem."""
    if not prefers_existing(request.headers.getlist("prefer")):
        return None
    try:
        sha256 = parse_sha256(request.headers.getlist("repr-digest"))
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, f"Repr-Digest: {error}") from error
    row = await services.repository.find_same_bytes(sha256, principal.tenant) if sha256 else None
    if row is None:
        return None
    existing, headers = _existing(request, row, is_replayed=False)
    return existing, {**headers, **VARY, "Preference-Applied": "return=existing"}


async def _find_by_key(services: Services, key: IdempotencyKey, wanted: UploadRequest) -> ImageRow | None:
    """Return the image that was uploaded with this key, if there is one. Raise Problem if it is another file."""
    stored = await services.earlier_uploads.find(key.image_id, key.object_key, in_store=True)
    if stored is None:
        return None
    row = await services.lookup.find(key.image_id, key.tenant)
    is_other_size = wanted.bytes not in {None, stored.object_version.size}
    if is_other_size or (wanted.sha256 and row.sha256 and wanted.sha256 != row.sha256):
        raise Problem(Code.IDEMPOTENCY_KEY_REUSED)
    return row


def _existing(request: Request, row: ImageRow, *, is_replayed: bool) -> Existing:
    url = links_of(request).image(row.id)
    image = ExistingImage(
        id=row.id, status=Status(row.status), key=row.key, url=url, duplicate_of=None if is_replayed else row.id
    )
    return image, {"Location": url, **replayed_header(is_replayed=is_replayed)}
