"""The caller and the API tokens of the company."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given, unless
from caisey_core.services import api_tokens
from caisey_core.services.cursors import Page, cut
from caisey_core.services.views import TokenView


class Me(Struct, frozen=True, kw_only=True):
    """Who calls, and what this token may do. A service has no role; `clients` null: all."""

    id: UUID
    name: str
    email: str
    role: str | None
    service: bool
    may: tuple[str, ...]
    clients: tuple[UUID, ...] | None
    tenant: str
    tenant_name: str


@get("/me", sync_to_thread=False)
def show_me(member: Member_) -> Me:
    """Show who calls, and what this token may do."""
    return Me(
        id=member.id,
        name=member.name,
        email=member.email,
        role=None if member.service else member.role.value,
        service=member.service,
        may=api_tokens.rights(member),
        clients=None if member.clients is None else tuple(sorted(member.clients)),
        tenant=member.tenant_slug,
        tenant_name=member.tenant_name,
    )


@get("/tokens")
async def list_tokens(member: Member_, house: House_, after: After = "", limit: Limit = USUAL) -> Page[TokenView]:
    """List the caller's API tokens, newest first; for who may make service tokens all of the company."""
    found = await api_tokens.page(house, member)
    rows = sorted((*found.mine, *found.others), key=_place, reverse=True)
    return given(cut(rows, _place, tuple[int, UUID], after, limit, falling=True))


def _place(row: TokenView) -> tuple[int, UUID]:
    return (row.created_at, row.id)


@post("/tokens/{token:uuid}/revoke", status_code=HTTP_200_OK)
async def revoke_token(token: FromPath[UUID], member: Member_, house: House_) -> None:
    """Stop an API token at once: one's own, or as an admin any of the company's."""
    unless(await api_tokens.revoke(house, member, token))


handlers = [show_me, list_tokens, revoke_token]
