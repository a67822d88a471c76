"""The page API tokens: a member's own, and for admins those of services and of other members."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.forms import form
from caisey_core.http.pages.answers import Done, answer, unless
from caisey_core.http.problems import RefusedError
from caisey_core.http.rendering import AnyRequest, page
from caisey_core.services import api_tokens, clients
from caisey_core.services.house import House
from caisey_core.services.views import NewApiToken


class Wanted(Struct, frozen=True, kw_only=True):
    """What was typed for a new token."""

    label: str = ""
    scopes: tuple[str, ...] = ()
    clients: tuple[UUID, ...] = ()
    expires_days: int = 90


async def _shown(
    house: House,
    request: AnyRequest,
    member: Member,
    *,
    mine: Wanted | None = None,
    service: Wanted | None = None,
    refused: Refused | None = None,
    made: NewApiToken | None = None,
) -> Response[bytes]:
    return await page(
        house,
        request,
        member,
        "admin/tokens.html",
        nav="tokens",
        status=refused.status if refused else 200,
        view=await api_tokens.page(house, member),
        clients=await clients.choices(house, member),
        mine=mine or Wanted(scopes=("read",)),
        service=service or Wanted(scopes=("read",)),
        refused=refused if mine else None,
        service_refused=refused if service else None,
        made=made,
        address=f"{house.config.url}/api/v1/t/{member.tenant_slug}",
    )


@get("/tokens")
async def list_tokens(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show the tokens."""
    return await _shown(house, request, member)


async def _make(house: House, request: AnyRequest, member: Member, *, service: bool) -> Response[bytes]:
    try:
        typed = await form(request, Wanted)
    except RefusedError as error:
        again = Wanted()
        return await _shown(
            house, request, member, mine=None if service else again, service=again if service else None, refused=error.refused
        )
    outcome = await api_tokens.make(
        house, member, typed.label, typed.scopes, typed.clients, typed.expires_days, service=service
    )
    if isinstance(outcome, Refused):
        if outcome.status == 403 and not outcome.sign_in_again:
            raise RefusedError(outcome)
        return await _shown(
            house, request, member, mine=None if service else typed, service=typed if service else None, refused=outcome
        )
    return await _shown(house, request, member, made=outcome)


@post("/tokens", status_code=200)
async def create_token(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Make a token of one's own; it is in this answer only."""
    return await _make(house, request, member, service=False)


@post("/tokens/services", status_code=200)
async def create_service_token(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Make a token of a service; it is in this answer only."""
    return await _make(house, request, member, service=True)


@post("/tokens/{token:uuid}/revoke", status_code=200)
async def revoke_token(
    request: AnyRequest, token: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Stop a token."""
    unless(await api_tokens.revoke(house, member, token))
    address = f"/t/{member.tenant_slug}/tokens"
    return answer(request, Done(said="The token is revoked: nothing can be done with it any more.", go=address), address)


handlers = [list_tokens, create_token, create_service_token, revoke_token]
