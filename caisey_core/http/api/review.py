"""What happened in a session: its entries, the verdict on its record, and the end of its contents."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from caisey_core.http.api.asked import Because, House_, Member_
from caisey_core.http.problems import given
from caisey_core.services import erasure, review
from caisey_core.services.views import (
    EntryDetail,
    EntryFilter,
    EntryGroup,
    EntryPart,
    Proof,
    RetentionPage,
    ReviewPage,
    SessionCard,
)


class Keep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many days contents are kept after a session's end; 0: for ever, null: as for all other clients."""

    client: UUID | None = None
    days: int | None = None


@get("/sessions/{session:uuid}")
async def show_session(session: FromPath[UUID], member: Member_, house: House_) -> ReviewPage:
    """Show all of a session with the verdict on its record."""
    return given(await review.page(house, member, session))


@get("/sessions/{session:uuid}/proof")
async def verify_session(session: FromPath[UUID], member: Member_, house: House_) -> Proof:
    """Check a session's record now, all of it."""
    return given(await review.verdict(house, member, session, anew=True))


@get("/sessions/{session:uuid}/entries")
async def list_entries(
    session: FromPath[UUID],
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    groups: FromQuery[list[EntryGroup] | None] = None,
    start: FromQuery[int] = 0,
    at: FromQuery[int | None] = None,
    time: FromQuery[int | None] = None,
) -> EntryPart:
    """List a session's entries without outputs, 100 at once."""
    wanted = EntryFilter(q=q, groups=tuple(groups) if groups is not None else None, start=start, at=at, time=time)
    return given(await review.entries(house, member, session, wanted))


@get("/sessions/{session:uuid}/entries/{position:int}")
async def show_entry(session: FromPath[UUID], position: FromPath[int], member: Member_, house: House_) -> EntryDetail:
    """Show the entry of one event with its texts."""
    return given(await review.detail(house, member, session, position))


@post("/sessions/{session:uuid}/erase")
async def erase_session(session: FromPath[UUID], data: JSONBody[Because], member: Member_, house: House_) -> SessionCard:
    """Destroy the contents of a sealed session; its events and proofs stay."""
    return given(await erasure.erase(house, member, session, data.reason))


@get("/retention")
async def show_retention(member: Member_, house: House_) -> RetentionPage:
    """Show how long contents are kept."""
    return given(await erasure.page(house, member))


@post("/retention")
async def set_retention(data: JSONBody[Keep], member: Member_, house: House_) -> RetentionPage:
    """Set how long contents are kept."""
    return given(await erasure.keep(house, member, data.client, data.days))


handlers = [show_session, verify_session, list_entries, show_entry, erase_session, show_retention, set_retention]
