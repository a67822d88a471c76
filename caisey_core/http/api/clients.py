"""Clients: the companies that an MSP looks after."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from caisey_core.http.api.asked import House_, Member_, Name
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given
from caisey_core.services import clients
from caisey_core.services.cursors import Page, cut
from caisey_core.services.views import ClientView


@get("/clients")
async def list_clients(member: Member_, house: House_, after: After = "", limit: Limit = USUAL) -> Page[ClientView]:
    """List the clients that the caller serves, by name, with their devices counted."""
    rows = sorted(given(await clients.page(house, member)), key=_place)
    return given(cut(rows, _place, tuple[str, UUID], after, limit))


def _place(row: ClientView) -> tuple[str, UUID]:
    return (row.name, row.id)


@post("/clients", status_code=HTTP_201_CREATED)
async def create_client(data: JSONBody[Name], member: Member_, house: House_) -> ClientView:
    """Make a client."""
    return given(await clients.create(house, member, data.name))


@post("/clients/{client:uuid}/rename", status_code=HTTP_200_OK)
async def rename_client(client: FromPath[UUID], data: JSONBody[Name], member: Member_, house: House_) -> ClientView:
    """Rename a client."""
    return given(await clients.rename(house, member, client, data.name))


handlers = [list_clients, create_client, rename_client]
