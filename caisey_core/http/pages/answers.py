"""Answers to what a page's dialogs ask for: JSON for the page that asked, the next page for a browser without scripts."""

from typing import Any

import msgspec
from litestar import Response
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER
from msgspec import Struct

from caisey_core.http.problems import given, unless
from caisey_core.http.rendering import AnyRequest

__all__ = ["Done", "Step", "answer", "given", "unless"]


class Step(Struct, frozen=True, kw_only=True):
    """A form to send."""

    action: str
    fields: dict[str, str]


class Done(Struct, frozen=True, kw_only=True):
    """It is done: what to tell, where to go (empty: stay), and the forms that would take it back."""

    said: str
    go: str = ""
    undo: tuple[Step, ...] = ()


def answer(request: AnyRequest, done: Done, page: str) -> Response[Any]:
    """Tell the page that asked; `page` is where a browser without scripts goes."""
    if "application/json" in request.headers.get("accept", ""):
        return Response(msgspec.json.encode(done), media_type="application/json")
    return Redirect(done.go or page, status_code=HTTP_303_SEE_OTHER)
