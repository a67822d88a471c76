"""Members of the company: who there is, new ones, what each may do, and links for those who cannot sign in."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Struct

from caisey_core.domain.roles import Role
from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given, unless
from caisey_core.services import members
from caisey_core.services.cursors import Page, cut
from caisey_core.services.views import MemberPage, MemberView, NewMember


class Person(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new member. `clients`: those that they serve; null: all."""

    name: str
    email: str
    role: Role
    clients: tuple[UUID, ...] | None = None


class Rights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member is to be. `clients`: those that they serve; null: all."""

    role: Role
    clients: tuple[UUID, ...] | None


class NewLink(Struct, frozen=True, kw_only=True):
    """A link that signs a member in once."""

    link: str


@get("/members")
async def list_members(member: Member_, house: House_, after: After = "", limit: Limit = USUAL) -> Page[MemberView]:
    """List the members by name, with what each has open."""
    rows = sorted(given(await members.page(house, member)), key=_place)
    return given(cut(rows, _place, tuple[str, UUID], after, limit))


def _place(row: MemberView) -> tuple[str, UUID]:
    return (row.name, row.id)


@post("/members", status_code=HTTP_201_CREATED)
async def create_member(data: JSONBody[Person], member: Member_, house: House_) -> NewMember:
    """Invite a member. The link for the first sign-in is in this answer only."""
    return given(await members.create(house, member, data.name, data.email, data.role, data.clients))


@post("/members/{identity:uuid}/link", status_code=HTTP_201_CREATED)
async def create_sign_in_link(identity: FromPath[UUID], member: Member_, house: House_) -> NewLink:
    """Make another sign-in link for a member. It is in this answer only."""
    return NewLink(link=given(await members.new_link(house, member, identity)))


@get("/members/{identity:uuid}")
async def show_member(identity: FromPath[UUID], member: Member_, house: House_) -> MemberPage:
    """Show what a member may do, to who may change it."""
    return given(await members.detail(house, member, identity))


@post("/members/{identity:uuid}", status_code=HTTP_200_OK)
async def change_member(identity: FromPath[UUID], data: JSONBody[Rights], member: Member_, house: House_) -> MemberView:
    """Give a member a role and clients. What they have open ends if they may not have it any more."""
    return given(await members.change(house, member, identity, data.role, data.clients))


@post("/members/{identity:uuid}/deactivate", status_code=HTTP_200_OK)
async def deactivate_member(identity: FromPath[UUID], member: Member_, house: House_) -> None:
    """Keep a member out, at once: what kept them signed in ends."""
    unless(await members.deactivate(house, member, identity))


@post("/members/{identity:uuid}/reactivate", status_code=HTTP_200_OK)
async def reactivate_member(identity: FromPath[UUID], member: Member_, house: House_) -> None:
    """Let a member in again. A new link lets them sign in."""
    unless(await members.reactivate(house, member, identity))


handlers = [
    list_members,
    create_member,
    show_member,
    change_member,
    deactivate_member,
    reactivate_member,
    create_sign_in_link,
]
