"""The web console: the files of the built page, kept in memory, and the policy under which browsers run it.

They are some 300 KB. Each is also kept compressed.
"""

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from thumbmill.gateway.http.object_responses import is_not_modified
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.settings import Settings

PREFIX = "/ui/"
_INDEX = "index.html"
_ASSETS = "assets/"  # Vite names these files by a hash of their content
_RELATIVE = b'="./'  # addresses in index.html, relative to the console's own
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class File:
    """A file of the console."""

    body: bytes
    compressed: bytes
    content_type: str
    etag: str

    @classmethod
    def read(cls, name: str, body: bytes) -> "File":
        """Return the file with what is sent along with it."""
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return cls(body, gzip.compress(body, mtime=0), content_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class Console:
    """The files of the console by their paths below `/ui/`."""

    def __init__(self, files: Mapping[str, bytes], *, content_security_policy: str) -> None:
        self._files = {name: File.read(name, body) for name, body in files.items()}
        self._headers = {
            "Content-Security-Policy": content_security_policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }

    def respond(self, request: Request, path: str) -> Response:
        """Return a file, or the page for the addresses that its own router knows. Raise Problem (404)."""
        if path == _INDEX or not _names_a_file(path):
            return self._page(request)
        file = self._files.get(path)
        if file is None:
            raise Problem(Code.NOT_FOUND)
        cache = _FOREVER if path.startswith(_ASSETS) else "no-cache"
        headers = {**self._headers, "ETag": file.etag, "Vary": "Accept-Encoding", "Cache-Control": cache}
        if is_not_modified(request, file.etag):
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(file.body, media_type=file.content_type, headers=headers)
        headers["Content-Encoding"] = "gzip"
        return Response(file.compressed, media_type=file.content_type, headers=headers)

    def _page(self, request: Request) -> Response:
        """Return the page, with the addresses of its files below the reverse proxy's prefix, if there is one."""
        root = request.scope.get("root_path", "")
        body = self._files[_INDEX].body.replace(_RELATIVE, f'="{root}{PREFIX}'.encode())
        return Response(body, media_type="text/html", headers={**self._headers, "Cache-Control": "no-cache"})


def load_console(settings: Settings) -> Console | None:
    """Return the console that was built into this package, or None: the API needs none."""
    files = read_files(resources.files("thumbmill.gateway") / "web")
    return Console(files, content_security_policy=policy(settings)) if _INDEX in files else None


def read_files(directory: Traversable) -> dict[str, bytes]:
    """Return the contents of all files below a directory by their paths; {} if it does not exist."""
    return dict(_walk(directory, "")) if directory.is_dir() else {}


def policy(settings: Settings) -> str:
    """Return the Content-Security-Policy: the page's own scripts, styles and API, and MinIO for uploads.

    The URLs of variants have `PUBLIC_URL`, and the page may have been opened by another address.
    """
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' blob: {_origin(settings.public_url)}".rstrip(),
        "connect-src": f"'self' {_origin(settings.form_url)}",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _walk(directory: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _names_a_file(path: str) -> bool:
    return path.startswith(_ASSETS) or "." in path.rpartition("/")[2]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
