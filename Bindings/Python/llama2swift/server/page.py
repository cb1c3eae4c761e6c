"""The page at /: three files of its own and two libraries, all read at the start, so that no path of a request touches the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response

_FOLDER = Path(__file__).parent / "web"
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"), "/page/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page/app.js": ("app.js", "text/javascript; charset=utf-8"), "/page/store.js": ("store.js", "text/javascript; charset=utf-8"),
    "/page/markdown-it.min.js": ("markdown-it.min.js", "text/javascript; charset=utf-8"),
    "/page/purify.min.js": ("purify.min.js", "text/javascript; charset=utf-8"),
    "/page/LICENSES.txt": ("LICENSES.txt", "text/plain; charset=utf-8"), "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify llama2swift",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin", "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}  # fmt: skip


def add(app: FastAPI) -> frozenset[str]:
    """Adds the routes; returns the paths, which need no key: the page asks for one."""
    for path, (name, kind) in _FILES.items():
        app.add_api_route(path, _giver((_FOLDER / name).read_bytes(), kind), methods=["GET", "HEAD"], include_in_schema=False)
    return frozenset(_FILES)


def _giver(content: bytes, kind: str) -> Any:
    async def give() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return give
