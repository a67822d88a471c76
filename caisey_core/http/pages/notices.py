"""A member's notices, and the search box."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from caisey_core.domain.roles import Member
from caisey_core.http.forms import form
from caisey_core.http.pages.answers import Done, answer, given, unless
from caisey_core.http.rendering import AnyRequest, page
from caisey_core.services import notices, search
from caisey_core.services.house import House
from caisey_core.services.views import Hit


class Which(Struct, frozen=True, kw_only=True):
    """One notice, or all."""

    notice: UUID | None = None


@get("/notices")
async def list_notices(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show the member's notices."""
    view = given(await notices.page(house, member)).items
    return await page(house, request, member, "notices/list.html", nav="notices", view=view)


@post("/notices/read", status_code=200)
async def read(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Mark notices as read."""
    wanted = await form(request, Which)
    unless(await notices.read(house, member, wanted.notice))
    address = f"/t/{member.tenant_slug}/notices"
    return answer(request, Done(said="Marked as read.", go="" if wanted.notice else address), address)


@get("/find")
async def find(house: NamedDependency[House], member: NamedDependency[Member], q: FromQuery[str] = "") -> tuple[Hit, ...]:
    """Answer the search box."""
    return given(await search.find(house, member, q))


handlers = [list_notices, read, find]
