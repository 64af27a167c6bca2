"""The variants behind signed links, straight from the bucket: neither Postgres nor the tracker is needed."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog
from fastapi import Request
from starlette.responses import Response

from thumbmill.core.contracts.identity import VARIANTS_BUCKET, image_id_of_variant
from thumbmill.core.contracts.variants import find_variant_error
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.http.object_responses import SECURITY_HEADERS, YEAR_SECONDS, ObjectResponses
from thumbmill.gateway.links.signer import LinkSigner
from thumbmill.gateway.problems import Code, Problem, dependency_problem

# Whoever has a link has access, from any page, and no cookie is read. So one stored response serves all pages, and
# the script of any page sees that a link has expired.
_ANY_PAGE = {"Cross-Origin-Resource-Policy": "cross-origin", "Access-Control-Allow-Origin": "*"}


@dataclass(frozen=True)
class LinkDelivery:
    """Checks a link and streams its variant."""

    signer: LinkSigner | None  # None: no keys are configured, and every link is invalid
    responses: ObjectResponses
    clock: Callable[[], float] = time.time

    async def respond(self, request: Request, key: str) -> Response:
        """Return the variant with this key, if the URL is signed. Raise Problem, which no cache stores."""
        try:
            return await self._respond(request, key)
        except Problem as problem:
            raise _without_caching(problem) from problem
        except DependencyUnavailable as error:
            raise _without_caching(dependency_problem(error)) from error

    async def _respond(self, request: Request, key: str) -> Response:
        expiry = self._verify(request, key)
        try:
            describe = partial(self._describe, key, expiry)
            return await self.responses.respond(request, VARIANTS_BUCKET, key, describe)
        except (ObjectNotFoundError, InvalidKeyError):
            raise Problem(
                Code.VARIANT_NOT_FOUND, "it was deleted, or replaced by that of a later object or preset"
            ) from None

    def _verify(self, request: Request, key: str) -> int:
        if self.signer is None or b"%" in request.scope.get("raw_path", b""):
            raise Problem(Code.INVALID_SIGNATURE)
        return self.signer.verify(key, request.scope["query_string"])

    def _describe(self, key: str, expiry: int, metadata: ObjectMetadata) -> dict[str, str]:
        """Return the headers of the variant. Raise Problem if the object is none."""
        image_id = image_id_of_variant(key)
        if image_id is None or find_variant_error(key, metadata.content_type or "", image_id):
            raise Problem(Code.VARIANT_NOT_FOUND)
        structlog.contextvars.bind_contextvars(image_id=str(image_id))
        return {
            **SECURITY_HEADERS,
            **_ANY_PAGE,
            "Content-Type": metadata.content_type or "",
            "Cache-Control": f"public, max-age={max_age(expiry, self.clock())}, immutable",
            "Cache-Tag": str(image_id),  # to purge all variants of a deleted image from a cache
            "ETag": f'"{key.split("/")[1]}"',
        }


def max_age(expiry: int, now: float) -> int:
    """Return for how many seconds a cache may keep a response: never after its link has expired."""
    return max(0, min(YEAR_SECONDS, expiry - math.ceil(now)))


def _without_caching(problem: Problem) -> Problem:
    problem.headers.update(_ANY_PAGE, **{"Cache-Control": "no-store"})
    return problem
