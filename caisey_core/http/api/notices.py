"""What waits for the caller, what there is to find, and what changes."""

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.params import FromQuery, JSONBody
from litestar.response import Stream
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given, unless
from caisey_core.http.who import RECHECK_SECONDS, still
from caisey_core.live.news import News, Subject
from caisey_core.services import assignments, devices, notices, review, search
from caisey_core.services.cursors import Page
from caisey_core.services.house import House
from caisey_core.services.views import Hit, NoticeView


class ReadNotice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One notice, or all."""

    notice: UUID | None = None


class Changed(Struct, frozen=True):
    """This thing is not what it was: ask for it again."""

    subject: Subject
    id: UUID


@get("/notices")
async def list_notices(member: Member_, house: House_, after: After = "", limit: Limit = USUAL) -> Page[NoticeView]:
    """List the caller's notices, newest first."""
    return given(await notices.page(house, member, after, limit))


@post("/notices/read", status_code=HTTP_200_OK)
async def read_notices(data: JSONBody[ReadNotice], member: Member_, house: House_) -> None:
    """Mark one notice, or all, as read."""
    unless(await notices.read(house, member, data.notice))


@get("/find")
async def find_anything(member: Member_, house: House_, q: FromQuery[str] = "") -> tuple[Hit, ...]:
    """Find devices, clients, members and sessions by words, as the search box does: a few of each."""
    return given(await search.find(house, member, q))


@get("/events")
async def stream_changes(request: Request[Any, Any, Any], member: Member_, house: House_) -> Stream:
    """Stream what changes within the caller's reach, as server-sent events: each names a thing, never its content."""
    unless(refuse_unless(member, May.SEE_DEVICES))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(_changes(request, house, member), media_type="text/event-stream", headers=headers)


async def _changes(request: Request[Any, Any, Any], house: House, member: Member) -> AsyncIterator[str]:
    checked = time.monotonic()
    with house.live.news.subscribe(member.tenant, member.id) as subscription:
        yield ": open\n\n"
        while not house.closing.is_set():
            try:
                batch = await subscription.next(RECHECK_SECONDS)
            except StopAsyncIteration:
                return
            if time.monotonic() - checked >= RECHECK_SECONDS or any(news.subject == "rights" for news in batch):
                checked = time.monotonic()
                if not await still(house, request, member):
                    return
            for news in batch:
                if await _within_reach(house, member, news):
                    yield f"data: {msgspec.json.encode(Changed(news.subject, news.id)).decode()}\n\n"
            if not batch:
                yield ": still here\n\n"


async def _within_reach(house: House, member: Member, news: News) -> bool:
    match news.subject:
        case "device":
            return devices.row(house, member, news.id) is not None
        case "session":
            return await review.card(house, member, news.id) is not None
        case "assignment":
            return assignments.view(house, member, news.id) is not None
        case "client":
            return member.serves(news.id)
        case "notice":
            return await notices.view(house, member, news.id) is not None
        case "rights":
            return False


handlers = [list_notices, read_notices, find_anything, stream_changes]
