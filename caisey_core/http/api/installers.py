"""Installers: tokens with which devices enrol."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Struct

from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given, unless
from caisey_core.services import installers
from caisey_core.services.cursors import Page, cut
from caisey_core.services.views import (
    InstallerView,
    NewInstaller,
)


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of an installer."""

    client: UUID | None = None
    device_name: str = ""
    expires_hours: int | None = 24
    uses: int | None = None


@get("/installers")
async def list_installers(member: Member_, house: House_, after: After = "", limit: Limit = USUAL) -> Page[InstallerView]:
    """List installers with what each enrolled, newest first."""
    rows = given(await installers.page(house, member))
    return given(cut(rows, lambda row: (row.created_at, row.id), tuple[int, UUID], after, limit, falling=True))


@post("/installers", status_code=HTTP_201_CREATED)
async def new_installer(data: JSONBody[NewToken], member: Member_, house: House_) -> NewInstaller:
    """Make an installer; its token is in this answer only."""
    return given(await installers.create(house, member, data.client, data.device_name, data.expires_hours, data.uses))


@post("/installers/{installer:uuid}/rotate", status_code=HTTP_201_CREATED)
async def rotate_installer(installer: FromPath[UUID], member: Member_, house: House_) -> NewInstaller:
    """Replace an installer's token."""
    return given(await installers.rotate(house, member, installer))


@post("/installers/{installer:uuid}/revoke", status_code=HTTP_200_OK)
async def revoke_installer(installer: FromPath[UUID], member: Member_, house: House_) -> None:
    """Stop an installer."""
    unless(await installers.revoke(house, member, installer))


handlers = [list_installers, new_installer, rotate_installer, revoke_installer]
