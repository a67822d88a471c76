"""Members: the list, invitations, and one member's role, clients and account."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member
from caisey_core.http.forms import form
from caisey_core.http.pages.answers import Done, answer, given, unless
from caisey_core.http.rendering import AnyRequest, page
from caisey_core.services import clients, members
from caisey_core.services.house import House


class Person(Struct, frozen=True, kw_only=True):
    """What was typed for a new member. `reach`: all, or some clients."""

    name: str = ""
    email: str = ""
    role: str = "technician"
    reach: str = "all"
    clients: tuple[UUID, ...] = ()


class Rights(Struct, frozen=True, kw_only=True):
    """What was chosen for a member."""

    role: str
    reach: str = "some"
    clients: tuple[UUID, ...] = ()


def _clients(typed: Person | Rights) -> tuple[UUID, ...] | None:
    return None if typed.reach == "all" else typed.clients


async def _members(
    house: House, request: AnyRequest, member: Member, typed: Person, refused: Refused | None = None, link: str = ""
) -> Response[bytes]:
    view = given(await members.page(house, member))
    choices = await clients.choices(house, member) if member.may(May.CHANGE_MEMBERS) else ()
    return await page(
        house,
        request,
        member,
        "admin/members.html",
        nav="members",
        status=refused.status if refused else 200,
        view=view,
        clients=choices,
        typed=typed,
        chosen=None if typed.reach == "all" else typed.clients,
        refused=refused,
        link=link,
    )


@get("/members")
async def list_members(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show the members."""
    return await _members(house, request, member, Person())


@post("/members", status_code=200)
async def create_member(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Invite a member; the link for the first sign-in is in this answer only."""
    typed = await form(request, Person)
    outcome = await members.create(house, member, typed.name, typed.email, typed.role, _clients(typed))
    if isinstance(outcome, Refused):
        return await _members(house, request, member, typed, outcome)
    return await _members(house, request, member, Person(), link=outcome.link)


@post("/members/{identity:uuid}/link", status_code=200)
async def new_link(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], identity: FromPath[UUID]
) -> Response[bytes]:
    """Make another sign-in link; it is in this answer only."""
    outcome = await members.new_link(house, member, identity)
    if isinstance(outcome, Refused):
        return await _member(house, request, member, identity, refused=outcome)
    return await _members(house, request, member, Person(), link=outcome)


async def _member(
    house: House,
    request: AnyRequest,
    member: Member,
    identity: UUID,
    typed: Rights | None = None,
    refused: Refused | None = None,
) -> Response[bytes]:
    view = given(await members.detail(house, member, identity))
    served = None if view.view.clients is None else tuple(client.id for client in view.view.clients)
    return await page(
        house,
        request,
        member,
        "admin/member.html",
        nav="members",
        status=refused.status if refused else 200,
        view=view,
        role=typed.role if typed is not None else view.view.role.value,
        chosen=_clients(typed) if typed is not None else served,
        refused=refused,
    )


@get("/members/{identity:uuid}")
async def show_member(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], identity: FromPath[UUID]
) -> Response[bytes]:
    """Show what a member may do."""
    return await _member(house, request, member, identity)


@post("/members/{identity:uuid}", status_code=200)
async def change_member(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], identity: FromPath[UUID]
) -> Response[Any]:
    """Give a member a role and clients; a refusal shows what was chosen again."""
    typed = await form(request, Rights)
    outcome = await members.change(house, member, identity, typed.role, _clients(typed))
    if isinstance(outcome, Refused):
        return await _member(house, request, member, identity, typed, outcome)
    return answer(request, Done(said=f"{outcome.name} is {outcome.role} now."), f"/t/{member.tenant_slug}/members")


@post("/members/{identity:uuid}/deactivate", status_code=200)
async def deactivate_member(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], identity: FromPath[UUID]
) -> Response[Any]:
    """Keep a member out, at once."""
    unless(await members.deactivate(house, member, identity))
    address = f"/t/{member.tenant_slug}/members"
    return answer(request, Done(said="Deactivated: what kept this person signed in has ended.", go=address), address)


@post("/members/{identity:uuid}/reactivate", status_code=200)
async def reactivate_member(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], identity: FromPath[UUID]
) -> Response[Any]:
    """Let a member in again."""
    unless(await members.reactivate(house, member, identity))
    address = f"/t/{member.tenant_slug}/members"
    return answer(request, Done(said="Active again. A new link lets this person sign in.", go=address), address)


handlers = [list_members, create_member, new_link, show_member, change_member, deactivate_member, reactivate_member]
