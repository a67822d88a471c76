"""Sessions: where they stand, and what people do to one."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from msgspec import Meta, Struct

from caisey_core.domain.events import Resolution
from caisey_core.http.api.asked import Ask, Because, Handover, House_, Member_
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given, unless
from caisey_core.services import commands, review, sessions
from caisey_core.services.cursors import Page
from caisey_core.services.views import (
    Board,
    CommandCard,
    SessionCard,
    SessionFilter,
)


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: str = ""


class CommandLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    line: Annotated[str, Meta(min_length=1)]


class Which(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: UUID | None = None


class Outcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    resolution: Resolution
    notes: str
    checked: str = ""


@get("/sessions")
async def show_board(
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    client: FromQuery[UUID | None] = None,
    technician: FromQuery[UUID | None] = None,
) -> Board:
    """Show the sessions that are open, by where they stand, and the last 50 that ended."""
    return given(await review.board(house, member, SessionFilter(q=q, client=client, technician=technician)))


@get("/sessions/ended")
async def list_ended_sessions(
    member: Member_,
    house: House_,
    client: FromQuery[UUID | None] = None,
    technician: FromQuery[UUID | None] = None,
    after: After = "",
    limit: Limit = USUAL,
) -> Page[SessionCard]:
    """List the sessions that are over, newest first."""
    return given(await review.ended(house, member, client, technician, after, limit))


@get("/sessions/{session:uuid}/card")
async def show_card(session: FromPath[UUID], member: Member_, house: House_) -> SessionCard:
    """Show how a session stands."""
    return given(await review.shown_card(house, member, session))


@post("/sessions/{session:uuid}/ask", status_code=HTTP_200_OK)
async def ask_more(session: FromPath[UUID], data: JSONBody[Ask], member: Member_, house: House_) -> SessionCard:
    """Ask again in a running session."""
    return given(await sessions.ask_more(house, member, session, data.reason, data.scopes, data.duration_minutes))


@post("/sessions/{session:uuid}/nudge", status_code=HTTP_200_OK)
async def nudge_session(session: FromPath[UUID], data: JSONBody[Message], member: Member_, house: House_) -> SessionCard:
    """Show the prompt again, with a message."""
    return given(await sessions.nudge(house, member, session, data.message))


@post("/sessions/{session:uuid}/cancel", status_code=HTTP_200_OK)
async def cancel_session(session: FromPath[UUID], data: JSONBody[Because], member: Member_, house: House_) -> SessionCard:
    """Take a request back."""
    return given(await sessions.cancel(house, member, session, data.reason))


@post("/sessions/{session:uuid}/reassign", status_code=HTTP_200_OK)
async def reassign_session(session: FromPath[UUID], data: JSONBody[Handover], member: Member_, house: House_) -> SessionCard:
    """Hand a session to another technician."""
    return given(await sessions.reassign(house, member, session, data.technician, data.reason))


@post("/sessions/{session:uuid}/commands", status_code=HTTP_202_ACCEPTED)
async def run_command(session: FromPath[UUID], data: JSONBody[CommandLine], member: Member_, house: House_) -> CommandCard:
    """Accept a command: 202 says that it is in the record, not that it has run."""
    return given(await commands.run(house, member, session, data.line))


@post("/sessions/{session:uuid}/interrupt", status_code=HTTP_200_OK)
async def interrupt_session(session: FromPath[UUID], data: JSONBody[Which], member: Member_, house: House_) -> None:
    """End a command, or whatever runs."""
    unless(await commands.interrupt(house, member, session, data.command))


@post("/sessions/{session:uuid}/complete", status_code=HTTP_200_OK)
async def complete_session(session: FromPath[UUID], data: JSONBody[Outcome], member: Member_, house: House_) -> SessionCard:
    """Finish a session."""
    return given(await sessions.complete(house, member, session, data.resolution, data.notes, data.checked))


handlers = [
    show_board,
    list_ended_sessions,
    show_card,
    ask_more,
    nudge_session,
    cancel_session,
    reassign_session,
    run_command,
    interrupt_session,
    complete_session,
]
