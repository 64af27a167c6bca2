"""Header parameters, and the file name in a Content-Disposition (RFC 6266) as clients send it in practice."""

import base64
import binascii
import quopri
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from thumbmill.core.text import sanitize_file_name

# A value is a quoted string (RFC 9110, 5.6.4) or everything up to the next semicolon.
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
# Unescape only what must be escaped: Windows paths contain backslashes.
_ESCAPED = re.compile(r'\\(["\\])')
# Browsers percent-encode only quotes and line breaks: %22, %0D and %0A (WHATWG, multipart).
_BROWSER_ESCAPED = re.compile(r"%(22|0[aAdD])")
_EXTENDED = re.compile(r"([\w.+-]+)'[\w-]*'(.*)", re.DOTALL | re.ASCII)  # RFC 8187: charset'language'value
_SECTION = re.compile(r"\*([0-9]{1,3})(\*?)")  # RFC 2231: name*0=, name*1*=
_ENCODED_WORD = re.compile(r"=\?([\w.+-]+)(?:\*[\w-]+)?\?([bBqQ])\?([^?]*)\?=", re.ASCII)  # RFC 2047
_ENCODED_WORDS = re.compile(rf"\s*{_ENCODED_WORD.pattern}(?:\s*{_ENCODED_WORD.pattern})*\s*", re.ASCII)
# Allow list: some of Python's codecs are not charsets, and some are slow.
_CHARSET = re.compile(
    r"utf-?8|us-ascii|(iso|windows|koi8)-[\da-z-]{1,12}|shift[_-]jis|euc-(jp|kr)|big5|gb(k|2312|18030)",
    re.IGNORECASE,
)


def read_parameters(header: bytes) -> tuple[str, dict[str, str]]:
    """Return a header's value in lower case and its parameters; the first parameter of a name wins."""
    text = decode_text(header)
    value = text.partition(";")[0].strip().lower()
    parameters: dict[str, str] = {}
    for name, raw in _PARAMETER.findall(text):
        parameters.setdefault(name.lower(), _unquote(raw.strip()))
    return value, parameters


def read_text(parameters: Mapping[str, str], name: str) -> str | None:
    """Return a decoded parameter; the extended form precedes the plain one (RFC 6266, 4.3)."""
    extended = _decode_extended(parameters.get(f"{name}*", ""))
    if extended is None:
        extended = _join_sections(parameters, name)
    if extended is not None:
        return extended
    plain = parameters.get(name)
    return None if plain is None else _decode_plain(plain)


def read_file_name(parameters: Mapping[str, str]) -> str | None:
    """Return the sanitized file name in the parameters of a Content-Disposition, if there is one."""
    name = read_text(parameters, "filename")
    return sanitize_file_name(name) if name else None


def decode_text(data: bytes) -> str:
    """Decode a header as UTF-8, as in forms, or else as Latin-1, as in early HTTP."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unquote(raw: str) -> str:
    if len(raw) >= 2 and raw[0] == raw[-1] == '"':
        return _ESCAPED.sub(r"\1", raw[1:-1])
    return raw.removeprefix('"')


def _decode_plain(text: str) -> str:
    """Decode the escapes of browsers, and the encoded words that .NET uses for names that are not ASCII."""
    if _ENCODED_WORDS.fullmatch(text):
        words = [_decode_word(*word) for word in _ENCODED_WORD.findall(text)]
        if None not in words:
            return "".join(word or "" for word in words)
    return _BROWSER_ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text)


def _decode_word(charset: str, encoding: str, text: str) -> str | None:
    try:
        if encoding in "bB":
            data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        else:
            data = quopri.decodestring(text.replace("_", " ").encode(), header=False)
    except (binascii.Error, ValueError):
        return None
    return _decode(data, charset)


def _decode_extended(text: str) -> str | None:
    """Decode ``charset'language'percent-encoded``; return None for any other text."""
    match = _EXTENDED.fullmatch(text)
    return _decode(unquote_to_bytes(match[2]), match[1]) if match else None


def _join_sections(parameters: Mapping[str, str], name: str) -> str | None:
    """Join a parameter that is split into numbered sections (RFC 2231, 3), as mail libraries do."""
    sections: dict[int, tuple[str, bool]] = {}
    for key, value in parameters.items():
        if key.startswith(f"{name}*") and (match := _SECTION.fullmatch(key, len(name))):
            sections.setdefault(int(match[1]), (value, bool(match[2])))
    if sorted(sections) != list(range(len(sections))) or not sections:
        return None
    charset = "utf-8"
    first, is_extended = sections[0]
    if is_extended:
        match = _EXTENDED.fullmatch(first)
        if match is None:
            return None
        charset, sections[0] = match[1], (match[2], True)
    ordered = [sections[number] for number in range(len(sections))]
    return _decode(b"".join(unquote_to_bytes(text) if coded else text.encode() for text, coded in ordered), charset)


def _decode(data: bytes, charset: str) -> str | None:
    if not _CHARSET.fullmatch(charset):
        return None
    try:
        return data.decode(charset, errors="replace")
    except LookupError:
        return None
