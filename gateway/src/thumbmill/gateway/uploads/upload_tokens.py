"""Ids of resumable uploads. They carry what the gateway would otherwise have to store.

The object store has an id for a multipart upload. It does not return the size that was declared for the file, or
the time at which the ticket expires. So clients get these in one signed text, and any gateway can continue the
upload.
"""

import hmac
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from thumbmill.core.contracts.identity import upload_key
from thumbmill.gateway.problems import Code, Problem

_CONTEXT = b"thumbmill upload id 1"
_SIGNATURE_CHARACTERS = 32  # 128 bits
MAX_TOKEN_CHARACTERS = 2000


@dataclass(frozen=True)
class UploadToken:
    """A multipart upload that a client may continue."""

    image_id: uuid.UUID
    upload: str  # the object store's id
    size: int | None  # of the file in bytes; None if the client declared none
    expires_at: datetime
    tenant: str

    @property
    def key(self) -> str:
        """The key of the object that the parts become."""
        return upload_key(self.image_id, self.tenant)


class UploadTokens:
    """Signs and reads ids of uploads, with a secret that all gateways have."""

    def __init__(self, secret: str) -> None:
        self._secret = hmac.digest(secret.encode(), _CONTEXT, "sha256")

    def encode(self, token: UploadToken) -> str:
        """Return the id for clients."""
        expiry = f"{token.expires_at.timestamp():.0f}"
        tenant = f"/{token.tenant}" if token.tenant else ""
        text = f"{token.image_id.hex} {token.size or ''} {expiry}{tenant} {token.upload}"
        payload = urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return f"{payload}.{self._sign(payload)}"

    def decode(self, text: str, tenant: str) -> UploadToken:
        """Return the upload with an id. Raise Problem if no gateway has made it for this tenant."""
        payload, _, signature = text.partition(".")
        if not hmac.compare_digest(signature.encode(errors="replace"), self._sign(payload).encode()):
            raise Problem(Code.UPLOAD_NOT_FOUND)
        decoded = urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
        image_id, size, expiry_and_owner, upload = decoded.split(" ", 3)
        expiry, _, owner = expiry_and_owner.partition("/")
        if owner != tenant:
            raise Problem(Code.UPLOAD_NOT_FOUND)
        expires_at = datetime.fromtimestamp(int(expiry), UTC)
        return UploadToken(uuid.UUID(image_id), upload, int(size) if size else None, expires_at, owner)

    def _sign(self, payload: str) -> str:
        return hmac.digest(self._secret, payload.encode(errors="replace"), "sha256").hex()[:_SIGNATURE_CHARACTERS]
