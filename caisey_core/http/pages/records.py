"""Search over all records: one box, a few filters, results that lead to the moment."""

from litestar import Response, get
from litestar.di import NamedDependency

from caisey_core.domain.roles import Member
from caisey_core.http.forms import query
from caisey_core.http.pages.answers import given
from caisey_core.http.rendering import AnyRequest, html, page, render
from caisey_core.services import records
from caisey_core.services.house import House
from caisey_core.services.views import RecordFilter


@get("/search")
async def search(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show what was found; the next part alone where the list asks for more."""
    wanted = query(request, RecordFilter)
    view = given(await records.page(house, member, wanted))
    if wanted.before is not None and request.headers.get("hx-request"):
        return html(request, render(request, "search/found.html", view=view, base=f"/t/{member.tenant_slug}"))
    return await page(house, request, member, "search/page.html", nav="search", view=view)


handlers = [search]
