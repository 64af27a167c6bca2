"""Images that are there already, so that no ticket is needed to upload them."""

from fastapi import Request

from thumbmill.core.contracts.status import Status
from thumbmill.gateway.api.parts import UploadRequest
from thumbmill.gateway.api.waiting import replayed_header
from thumbmill.gateway.container import Services
from thumbmill.gateway.images.models import ExistingImage
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.idempotency import IdempotencyKey
from thumbmill.gateway.urls import links_of

Existing = tuple[ExistingImage, dict[str, str]]  # with the headers of the response


async def find_for_ticket(
    request: Request, services: Services, wanted: UploadRequest, key: IdempotencyKey | None
) -> Existing | None:
    """Return the image that was uploaded with this key, if there is one. Raise Problem if it is another file."""
    if key is None:
        return None
    stored = await services.earlier_uploads.find(key.image_id, key.object_key, in_store=True)
    if stored is None:
        return None
    if wanted.bytes not in {None, stored.object_version.size}:
        raise Problem(Code.IDEMPOTENCY_KEY_REUSED)
    row = await services.lookup.find(key.image_id, key.tenant)
    url = links_of(request).image(row.id)
    image = ExistingImage(id=row.id, status=Status(row.status), key=row.key, url=url)
    return image, {"Location": url, **replayed_header(is_replayed=True)}
