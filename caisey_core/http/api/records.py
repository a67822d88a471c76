"""Search over all records."""

from datetime import date
from uuid import UUID

from litestar import get
from litestar.params import FromQuery

from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.problems import given
from caisey_core.services import records
from caisey_core.services.views import Outcome as SessionOutcome
from caisey_core.services.views import (
    RecordFilter,
    RecordsPage,
)


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
    before: FromQuery[int | None] = None,
) -> RecordsPage:
    """Search the records of all sessions: words, "phrases", beginnings*; 20 sessions at once, newest first."""
    return given(
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
                before=before,
            ),
        )
    )


handlers = [search_records]
