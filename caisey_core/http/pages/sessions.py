"""Sessions: the board, the technician's page, the review, and what people do to a session from outside its terminal."""

from typing import Any, get_args
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.domain.events import Resolution
from caisey_core.domain.roles import Member
from caisey_core.http.forms import form, query
from caisey_core.http.pages.answers import Done, answer, given
from caisey_core.http.rendering import AnyRequest, html, page, render
from caisey_core.services import erasure, review, sessions, transcripts
from caisey_core.services.house import House
from caisey_core.services.views import EntryFilter, EntryGroup, Proof, SessionFilter


class Ask(Struct, frozen=True, kw_only=True):
    """What the person at the device will read."""

    reason: str = ""
    scopes: tuple[str, ...] = ()
    duration_minutes: int = 60


class Message(Struct, frozen=True, kw_only=True):
    message: str = ""


class Handover(Struct, frozen=True, kw_only=True):
    technician: UUID
    reason: str = ""


class Because(Struct, frozen=True, kw_only=True):
    reason: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    resolution: Resolution
    notes: str = ""
    checked: str = ""


@get("/sessions")
async def board(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show all sessions by where they stand."""
    view = given(await review.board(house, member, query(request, SessionFilter)))
    return await page(house, request, member, "sessions/board.html", nav="sessions", live="sessions", view=view)


@get("/sessions/{session:uuid}")
async def work(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Show a session to who works in it or watches it."""
    view = given(await review.work_page(house, member, session))
    return await page(house, request, member, "session/page.html", nav="sessions", terminal=True, view=view)


@get("/sessions/{session:uuid}/review")
async def look_back(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Show all that happened in a session, with the verdict on its record."""
    view = given(await review.screen(house, member, session))
    copies = given(await transcripts.of_session(house, member, session))
    return await page(
        house,
        request,
        member,
        "review/page.html",
        nav="sessions",
        live="review",
        replay=True,
        view=view,
        transcripts=copies,
    )


@get("/sessions/{session:uuid}/review/entries")
async def entries(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Give a part of the timeline."""
    asked = query(request, EntryFilter)
    sent = request.query_params.getall("group", [])
    groups = tuple(group for group in get_args(EntryGroup) if group in sent) if sent else None
    part = given(await review.entries(house, member, session, replace(asked, groups=groups)))
    return html(request, render(request, "review/entries.html", part=part))


@get("/sessions/{session:uuid}/review/events/{position:int}")
async def entry(
    request: AnyRequest,
    session: FromPath[UUID],
    position: FromPath[int],
    house: NamedDependency[House],
    member: NamedDependency[Member],
) -> Response[bytes]:
    """Give one entry with its texts."""
    found = given(await review.detail(house, member, session, position))
    base = f"/t/{member.tenant_slug}"
    return html(request, render(request, "review/event.html", entry=found.entry, changed=found.changed, base=base, id=session))


@get("/sessions/{session:uuid}/review/verdict")
async def verdict(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Give the verdict once it is made."""
    return _verdict(request, member, session, given(await review.verdict(house, member, session)))


@post("/sessions/{session:uuid}/review/check", status_code=200)
async def check(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Check all of the record again."""
    proof = given(await review.verdict(house, member, session, anew=True))
    if not request.headers.get("hx-request"):
        return Redirect(f"{_address(member, session)}/review", status_code=HTTP_303_SEE_OTHER)
    return _verdict(request, member, session, proof)


def _verdict(request: AnyRequest, member: Member, session: UUID, proof: Proof) -> Response[bytes]:
    base = f"/t/{member.tenant_slug}"
    return html(request, render(request, "review/verdict.html", proof=proof, base=base, id=session, fresh=True))


@post("/devices/{device:uuid}/sessions", status_code=200)
async def ask(
    request: AnyRequest, device: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Ask the person at a device for a session."""
    wanted = await form(request, Ask)
    card = given(await sessions.request(house, member, device, wanted.reason, wanted.scopes, wanted.duration_minutes))
    address = _address(member, card.id)
    return answer(request, Done(said="The person at the device is asked now.", go=address), address)


@post("/sessions/{session:uuid}/ask", status_code=200)
async def ask_more(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Ask for more time or a wider scope."""
    wanted = await form(request, Ask)
    given(await sessions.ask_more(house, member, session, wanted.reason, wanted.scopes, wanted.duration_minutes))
    return answer(request, Done(said="Asked. What was agreed before holds until the answer."), _address(member, session))


@post("/sessions/{session:uuid}/nudge", status_code=200)
async def nudge(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Show the prompt on the device again."""
    wanted = await form(request, Message)
    card = given(await sessions.nudge(house, member, session, wanted.message))
    return answer(request, Done(said=f"The prompt shows again on {card.device_name}."), _board(member))


@post("/sessions/{session:uuid}/reassign", status_code=200)
async def reassign(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Hand a session to another technician."""
    wanted = await form(request, Handover)
    card = given(await sessions.reassign(house, member, session, wanted.technician, wanted.reason))
    return answer(request, Done(said=f"{card.technician_name} has the session on {card.device_name} now."), _board(member))


@post("/sessions/{session:uuid}/cancel", status_code=200)
async def cancel(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Take a request back."""
    wanted = await form(request, Because)
    given(await sessions.cancel(house, member, session, wanted.reason))
    return answer(request, Done(said="The request is taken back."), _board(member))


@post("/sessions/{session:uuid}/complete", status_code=200)
async def complete(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Finish a session; the next page is its review."""
    wanted = await form(request, Outcome)
    given(await sessions.complete(house, member, session, wanted.resolution, wanted.notes, wanted.checked))
    address = f"{_address(member, session)}/review"
    return answer(request, Done(said="The session is finished.", go=address), address)


@post("/sessions/{session:uuid}/erase", status_code=200)
async def erase(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Destroy the contents of a session."""
    wanted = await form(request, Because)
    given(await erasure.erase(house, member, session, wanted.reason))
    address = f"{_address(member, session)}/review"
    return answer(request, Done(said="The contents are erased. What is left proves that they were there.", go=address), address)


def _address(member: Member, session: UUID) -> str:
    return f"/t/{member.tenant_slug}/sessions/{session}"


def _board(member: Member) -> str:
    return f"/t/{member.tenant_slug}/sessions"


handlers = [board, work, look_back, entries, entry, verdict, check, ask, ask_more, nudge, reassign, cancel, complete, erase]
