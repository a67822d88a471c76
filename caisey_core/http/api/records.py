"""Search over all records."""

from datetime import date
from uuid import UUID

from litestar import get
from litestar.params import FromQuery
from msgspec import Struct

from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.api.parts import After
from caisey_core.http.problems import given
from caisey_core.services import records
from caisey_core.services.cursors import read, write
from caisey_core.services.views import (
    FoundSession,
    RecordFilter,
)
from caisey_core.services.views import Outcome as SessionOutcome


class FoundPage(Struct, frozen=True, kw_only=True):
    """Sessions with the lines that fit. `left`: sessions that are not yet indexed; `nothing_asked`: no word and no filter."""

    items: tuple[FoundSession, ...]
    next: str
    left: int
    nothing_asked: bool


@get("/search")
async def search_records(
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    device: FromQuery[UUID | None] = None,
    client: FromQuery[UUID | None] = None,
    technician: FromQuery[UUID | None] = None,
    since: FromQuery[date | None] = None,
    until: FromQuery[date | None] = None,
    outcome: FromQuery[SessionOutcome] = "",
    after: After = "",
) -> FoundPage:
    """Search the records of all sessions: words, "phrases", beginnings*; 20 sessions at once, newest first."""
    found = given(
        await records.page(
            house,
            member,
            RecordFilter(
                q=q,
                device=device,
                client=client,
                technician=technician,
                since=since,
                until=until,
                outcome=outcome,
                before=given(read(after, int)) if after else None,
            ),
        )
    )
    following = write(found.next) if found.next is not None else ""
    return FoundPage(items=found.found, next=following, left=found.left, nothing_asked=found.nothing_asked)


handlers = [search_records]
