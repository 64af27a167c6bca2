"""API keys of clients: ``tm_live_<id>_<secret><checksum>``.

The prefix and the pattern let scanners of leaked secrets find a key. The checksum tells a mistyped key from a wrong
one without a lookup. The secret has 256 random bits, so its SHA-256 can be stored: no guess can find it.
"""

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a key may be used for. Every route of the API needs one of these, or declares that it is public."""

    UPLOAD = "upload"
    READ = "read"
    DELETE = "delete"
    SIGN = "sign"
    FETCH = "fetch"
    ADMIN = "admin"


PREFIX = "tm_live_"
ID_PATTERN = r"[0-9A-Za-z]{10}"
KEY_PATTERN = rf"{PREFIX}({ID_PATTERN})_[0-9A-Za-z]{{49}}"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_DIGITS, _SECRET_DIGITS, _CHECKSUM_DIGITS = 10, 43, 6  # 62^43 > 2^256, 62^6 > 2^32
_ID, _KEY = re.compile(ID_PATTERN), re.compile(KEY_PATTERN)


@dataclass(frozen=True)
class NewKey:
    """A key that was just made. Its text is shown once and stored nowhere."""

    id: str
    text: str

    @property
    def digest(self) -> bytes:
        return digest_of(self.text)


def make_key() -> NewKey:
    """Return a new random key."""
    key_id = _encode(secrets.randbelow(len(_DIGITS) ** _ID_DIGITS), _ID_DIGITS)
    text = f"{PREFIX}{key_id}_{_encode(secrets.randbits(256), _SECRET_DIGITS)}"
    return NewKey(key_id, text + _checksum(text))


def is_well_formed(text: str) -> bool:
    """Return whether a text has the form of a key and its checksum is right."""
    return bool(_KEY.fullmatch(text)) and _checksum(text[:-_CHECKSUM_DIGITS]) == text[-_CHECKSUM_DIGITS:]


def is_key_id(text: str) -> bool:
    """Return whether a text has the form of a key's id."""
    return bool(_ID.fullmatch(text))


def id_of(text: str) -> str:
    """Return the id in a key that is well-formed."""
    return text.removeprefix(PREFIX)[:_ID_DIGITS]


def digest_of(text: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    return _encode(zlib.crc32(text.encode()), _CHECKSUM_DIGITS)


def _encode(number: int, digits: int) -> str:
    encoded = ""
    for _ in range(digits):
        number, digit = divmod(number, len(_DIGITS))
        encoded = _DIGITS[digit] + encoded
    return encoded
