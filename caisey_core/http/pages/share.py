"""What a link shows to whoever has it: the passcode, the transcript with its proof, and the same words for all that ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Stream
from litestar.status_codes import HTTP_303_SEE_OTHER

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member
from caisey_core.http.rendering import REPLAY_POLICY, AnyRequest, html, render
from caisey_core.http.who import RECHECK_SECONDS, address_of, memberships
from caisey_core.services import review, shares
from caisey_core.services.house import House
from caisey_core.services.shares import Found, Locked
from caisey_core.services.views import View

COOKIE: Final = "caisey-share"
PRIVATE: Final = {"referrer-policy": "no-referrer", "x-robots-tag": "noindex, nofollow, noarchive", "cache-control": "no-store"}


class HandOff(View, frozen=True):
    """What a signed-in member of the same company may do with the session."""

    base: str
    session: str
    name: str
    state: str
    online: bool
    may_take: bool
    mine: bool


async def _enter(house: House, request: AnyRequest, token: str) -> Found | Locked | None:
    return await shares.enter(house, token, request.cookies.get(COOKIE, ""))


def _gone(request: AnyRequest) -> Response[bytes]:
    """Say the same of what ended and of what never was."""
    return html(request, render(request, "share/gone.html", refused=shares.GONE), 404, PRIVATE)


def _locked(request: AnyRequest, token: str, refused: Refused | None = None) -> Response[bytes]:
    headers = dict(PRIVATE)
    if refused is not None and refused.retry_after_seconds:
        headers["retry-after"] = str(max(1, round(refused.retry_after_seconds)))
    text = render(request, "share/passcode.html", token=token, refused=refused)
    return html(request, text, refused.status if refused is not None else 200, headers)


def _refused(request: AnyRequest, refused: Refused) -> Response[bytes]:
    return html(request, render(request, "share/gone.html", refused=refused), refused.status, PRIVATE)


async def _reader(house: House, request: AnyRequest, found: Found) -> Member | None:
    """Return as whom of the share's own company this browser is signed in: a share's address names none."""
    return next((one for one in await memberships(house, request) if one.tenant == found.tenant.id), None)


async def _hand_off(house: House, found: Found, reader: Member | None) -> HandOff | None:
    if reader is None or reader.tenant != found.tenant.id or not reader.may(May.REVIEW):
        return None
    card = await review.card(house, reader, found.share.session)
    if card is None:
        return None
    mine = card.technician == reader.id and reader.may(May.WORK)
    return HandOff(
        base=f"/t/{reader.tenant_slug}",
        session=str(card.id),
        name=reader.name,
        state=card.state.value,
        online=house.live.links.online(card.device),
        may_take=card.ended_at is None and (mine or reader.may(May.WORK_IN_OTHERS)),
        mine=mine,
    )


@get("/share/{token:str}", include_in_schema=False)
async def show(request: AnyRequest, token: FromPath[str], house: NamedDependency[House]) -> Response[bytes]:
    """Show a transcript to whoever has its link."""
    found = await _enter(house, request, token)
    if found is None:
        return _gone(request)
    if isinstance(found, Locked):
        return _locked(request, token)
    reader = await _reader(house, request, found)
    if (refused := await shares.opened(house, found, "page", address_of(request), reader)) is not None:
        return _refused(request, refused)
    view = await shares.public_page(house, found)
    if isinstance(view, Refused):
        return _gone(request)
    hand_off = await _hand_off(house, found, reader)
    text = render(request, "share/page.html", view=view, link=f"/share/{token}", hand_off=hand_off, preview=False)
    return html(request, text, 200, {**PRIVATE, "content-security-policy": REPLAY_POLICY} if view.terminal else PRIVATE)


@post("/share/{token:str}", status_code=200, include_in_schema=False)
async def unlock(request: AnyRequest, token: FromPath[str], house: NamedDependency[House]) -> Response[Any]:
    """Judge a passcode."""
    found = await _enter(house, request, token)
    if found is None:
        return _gone(request)
    address = f"/share/{token}"
    if isinstance(found, Found):
        return Redirect(address, status_code=HTTP_303_SEE_OTHER, headers=PRIVATE)
    sent = await request.form()
    outcome = await shares.unlock(house, found.found, str(sent.get("passcode", "")), address_of(request))
    if isinstance(outcome, Refused):
        return _locked(request, token, outcome)
    secure = house.config.secure
    cookie = Cookie(key=COOKIE, value=outcome, path=address, httponly=True, secure=secure, samesite="lax")
    return Redirect(address, status_code=HTTP_303_SEE_OTHER, headers=PRIVATE, cookies=[cookie])


@get("/share/{token:str}/bundle", include_in_schema=False)
async def bundle(request: AnyRequest, token: FromPath[str], house: NamedDependency[House]) -> Stream | Response[bytes]:
    """Give the proof: the bundle, in which what is withheld is not."""
    found = await _enter(house, request, token)
    if not isinstance(found, Found):
        return _gone(request) if found is None else _locked(request, token)
    reader = await _reader(house, request, found)
    if (refused := await shares.opened(house, found, "bundle", address_of(request), reader)) is not None:
        return _refused(request, refused)
    name = f"transcript-{found.transcript.id}.caisey.zip"
    headers = {**PRIVATE, "content-disposition": f'attachment; filename="{name}"'}
    return Stream(shares.file(house, found, "bundle"), media_type="application/zip", headers=headers)


@get("/share/{token:str}/terminal.cast", include_in_schema=False)
async def terminal(request: AnyRequest, token: FromPath[str], house: NamedDependency[House]) -> Stream | Response[bytes]:
    """Give the recording of the terminal, made from what is shown."""
    found = await _enter(house, request, token)
    if not isinstance(found, Found):
        return _gone(request) if found is None else _locked(request, token)
    reader = await _reader(house, request, found)
    if (refused := await shares.opened(house, found, "terminal", address_of(request), reader)) is not None:
        return _refused(request, refused)
    if not found.share.terminal:
        return _gone(request)
    return Stream(shares.file(house, found, "terminal"), media_type="application/x-asciicast", headers=PRIVATE)


@get("/share/{token:str}/events", include_in_schema=False)
async def events(request: AnyRequest, token: FromPath[str], house: NamedDependency[House]) -> Stream | Response[bytes]:
    """Tell an open page when its share ends."""
    found = await _enter(house, request, token)
    if not isinstance(found, Found):
        return _gone(request)
    headers = {**PRIVATE, "x-accel-buffering": "no"}
    return Stream(_until_the_end(house, request, token, found), media_type="text/event-stream", headers=headers)


async def _until_the_end(house: House, request: AnyRequest, token: str, found: Found) -> AsyncIterator[str]:
    with house.sharing.page(found.share.id) as ended:
        yield "retry: 5000\n: open\n\n"
        while ended is not None and not house.closing.is_set():
            try:
                await asyncio.wait_for(ended.wait(), RECHECK_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
            if house.closing.is_set():
                return
            if not isinstance(await _enter(house, request, token), Found):
                yield "event: ended\ndata: ended\n\n"
                return
            if ended.is_set():
                return


handlers = [show, unlock, bundle, terminal, events]
