"""Refusals as RFC 9457 problem details."""

import os
import sqlite3
from math import ceil
from typing import Any, Final, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import FormMultiDict
from litestar.exceptions import HTTPException
from litestar.types import Scope
from msgspec import Struct

from caisey_core.catalogue.outcomes import CatalogueUnavailable
from caisey_core.domain.refused import Refused, Wrong

T = TypeVar("T")
log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.http")

titles: Final = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Not possible now",
    413: "Too large",
    415: "Unknown format",
    422: "Wrong input",
    429: "Too many tries",
    503: "Not available now",
}


UNREADABLE = Refused("What was sent cannot be read.", "Correct the input and send it again.", 422)


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 members, and ours: what to do, which input, whether signing in again helps, and the id to quote to the operator."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    what_to_do: str = ""
    field: str = ""
    errors: tuple[Wrong, ...] = ()
    sign_in_again: bool = False
    request_id: str = ""


class Asked(Request[Any, Any, Any]):
    """A request whose body is decoded in words: bytes that break the decoders are the sender's mistake, not the server's."""

    async def json(self) -> Any:
        """Return the JSON. Raises the refusal of what is none."""
        try:
            return await super().json()
        except (RecursionError, UnicodeDecodeError):
            raise RefusedError(UNREADABLE) from None

    async def form(self) -> FormMultiDict:
        """Return the form. Raises the refusal of what is none."""
        try:
            return await super().form()
        except (LookupError, ValueError):
            raise RefusedError(UNREADABLE) from None


class RefusedError(Exception):
    """Carries a refusal from a handler to the door that renders it."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


def given(outcome: T | Refused) -> T:
    """Return what a service gave. Raises its refusal, which the door renders."""
    if isinstance(outcome, Refused):
        raise RefusedError(outcome)
    return outcome


def unless(refused: Refused | None) -> None:
    """Raise a refusal, if there is one."""
    if refused is not None:
        raise RefusedError(refused)


def request_id_of(scope: Scope) -> str:
    """Return the id under which this request is in the log; made when it is first asked for."""
    return str(scope["state"].setdefault("request_id", os.urandom(8).hex()))


def problem_of(refused: Refused, request_id: str) -> Problem:
    """Return a refusal as a problem."""
    return Problem(
        title=titles.get(refused.status, "Not possible"),
        status=refused.status,
        detail=refused.reason,
        what_to_do=refused.what_to_do,
        field=refused.field,
        errors=refused.wrong,
        sign_in_again=refused.sign_in_again,
        request_id=request_id,
    )


def _cannot_be_read(error: Exception) -> bool:
    """Say whether a body was no UTF-8 or nested without end: msgspec does not call these a DecodeError, and Litestar lets them by."""
    if not isinstance(error, UnicodeDecodeError | RecursionError):
        return False
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and str(at.tb_frame.f_globals.get("__name__")).startswith("litestar.serialization")


def _cannot_be_written(error: Exception) -> bool:
    """Say whether SQLite met a full or failing disk (https://sqlite.org/rescode.html); the transaction was rolled back."""
    name = str(getattr(error, "sqlite_errorname", "")) if isinstance(error, sqlite3.OperationalError) else ""
    return name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR")


def refusal_of(error: Exception) -> Refused:
    """Return what a person is told about an exception; the driver's and the framework's words stay in the log."""
    if isinstance(error, RefusedError):
        return error.refused
    if isinstance(error, CatalogueUnavailable):
        return Refused(
            "The database cannot be reached now.", "The operator was told. Try again soon.", 503, retry_after_seconds=5
        )
    if _cannot_be_written(error):
        return Refused(
            "The database cannot be written now, so nothing was changed.",
            "The server's disk is full or failing: tell the operator, then try again.",
            503,
            retry_after_seconds=5,
        )
    status = error.status_code if isinstance(error, HTTPException) else 422 if _cannot_be_read(error) else 500
    if status == 404:
        return Refused("There is nothing at this address.", "It may have been removed, or it is not yours to see.", 404)
    if status == 405:
        return Refused("This cannot be done at this address.", "Use the pages, or the described API.", 405)
    if status == 403:
        return Refused("This form is too old or came from elsewhere.", "Load the page again and repeat.", 403)
    if status == 401:
        return Refused("You are not signed in.", "Sign in and try again.", 401)
    if status == 413:
        return Refused("What was sent is too large.", "Send less at once.", 413)
    if status in (400, 415, 422):
        detail = error.detail if isinstance(error, HTTPException) else ""
        words = f" ({detail})" if detail and "Traceback" not in detail else ""
        return Refused(f"What was sent cannot be read{words}.", "Correct the input and send it again.", 422)
    if status == 429:
        return Refused("Too many requests.", "Wait a moment and try again.", 429)
    return Refused("Something went wrong on the server.", "Try again; if it stays, give the operator the request id.", 500)


def problem_response(refused: Refused, request_id: str, more: dict[str, str] | None = None) -> Response[bytes]:
    """Return a refusal as an answer of the API, with more headers where there are any."""
    headers = {"retry-after": str(max(1, ceil(refused.retry_after_seconds)))} if refused.retry_after_seconds else {}
    headers |= more or {}
    if refused.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(
        msgspec.json.encode(problem_of(refused, request_id)),
        status_code=refused.status,
        media_type="application/problem+json",
        headers=headers,
    )
