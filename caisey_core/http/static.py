"""Styles, scripts, fonts and icons: read once at start, served under an address that changes with their content."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath

from caisey_core.domain.refused import Refused
from caisey_core.http.problems import RefusedError

FOREVER: Final = "public, max-age=31536000, immutable"
_PACKED: Final = frozenset({".css", ".js", ".svg", ".txt"})
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}


@dataclass(frozen=True)
class Asset:
    """A file as it is sent; `packed` is its gzip form where that is smaller."""

    media_type: str
    plain: bytes
    packed: bytes | None


@dataclass(frozen=True)
class Assets:
    """All files of the static folder. They refer to each other by relative paths, so one version stands for all of them."""

    version: str
    files: dict[str, Asset]

    def address(self, path: str) -> str:
        """Return where a file is found. Raises KeyError for a file that is not there: a template is wrong."""
        self.files[path]
        return f"/static/{self.version}/{path}"


def web_folder() -> Path:
    """Return the folder with templates and static files: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_web"
    return installed if installed.is_dir() else package.parent / "web"


@cache
def assets() -> Assets:
    """Read the static folder."""
    folder = web_folder() / "static"
    files: dict[str, Asset] = {}
    digest = hashlib.sha256()
    for path in sorted(found for found in folder.rglob("*") if found.is_file()):
        name, plain = path.relative_to(folder).as_posix(), path.read_bytes()
        media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        packed = gzip.compress(plain, 9, mtime=0) if path.suffix in _PACKED else None
        files[name] = Asset(media_type, plain, packed)
        digest.update(f"{name}\0{len(plain)}\0".encode() + plain)
    return Assets(digest.hexdigest()[:16], files)


@get("/static/{version:str}/{path:path}", sync_to_thread=False, include_in_schema=False)
def serve(request: Request[Any, Any, Any], version: FromPath[str], path: FromPath[str]) -> Response[bytes]:
    """Serve one file; for a year under its own version, once under that of a page from before an update."""
    asset = assets().files.get(path.removeprefix("/"))
    if asset is None:
        raise RefusedError(Refused("There is nothing at this address.", "Load the page again.", 404))
    headers = {"cache-control": FOREVER if version == assets().version else "no-cache", "vary": "accept-encoding"}
    body = asset.plain
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = asset.packed
        headers["content-encoding"] = "gzip"
    return Response(body, media_type=asset.media_type, headers=headers)
