"""The keys that sign links: the first signs, all of them verify."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()

MIN_SECRET_CHARACTERS = 32
_LINE = re.compile(rf"([A-Za-z0-9_-]{{1,32}}):([\x21-\x7e]{{{MIN_SECRET_CHARACTERS},}})")
_FORM = f"must have the form `id:secret`, the secret with at least {MIN_SECRET_CHARACTERS} characters"

Secrets = Mapping[str, bytes]  # by key id, in the order of the lines


def parse_signing_keys(text: str) -> dict[str, bytes]:
    """Return the keys by their ids. Raise ValueError, which names the line and not its content."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _LINE.fullmatch(stripped)
        if found is None:
            raise ValueError(f"line {number} {_FORM}")
        if found[1] in keys:
            raise ValueError(f"line {number} has the id of an earlier line")
        keys[found[1]] = found[2].encode()
    if not keys:
        raise ValueError("has no key")
    return keys


@dataclass(frozen=True)
class _FileVersion:
    """What changes when a file is written or replaced."""

    inode: int
    modified: int
    bytes: int


class SigningKeys:
    """The keys of a text, or of a file that is read again when it has changed.

    So keys are rotated without a restart. A file that is missing or invalid for a moment changes nothing.
    """

    def __init__(self, text: str, file: Path | None = None) -> None:
        self._keys: Secrets = parse_signing_keys(text)
        self._file = file
        self._version: _FileVersion | None = _FileVersion(0, 0, 0)  # of no file: the first use reads it again

    def read(self) -> Secrets:
        """Return the present keys."""
        if self._file is None:
            return self._keys
        version = _version_of(self._file)  # 2 µs; before reading, so that a later change is seen next time
        if version == self._version:
            return self._keys
        self._version = version
        try:
            self._keys = parse_signing_keys(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            log.warning("signing_keys_unreadable", error=f"SIGNING_KEYS_FILE: {error}", kept=list(self._keys))
        else:
            log.info("signing_keys_read", ids=list(self._keys))
        return self._keys


def _version_of(file: Path) -> _FileVersion | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return _FileVersion(found.st_ino, found.st_mtime_ns, found.st_size)
