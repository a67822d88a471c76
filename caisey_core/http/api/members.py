"""Members of the company: who there is, new ones, and links for those who cannot sign in."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_201_CREATED
from msgspec import Struct

from caisey_core.domain.roles import Role
from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given
from caisey_core.services import members
from caisey_core.services.cursors import Page, cut
from caisey_core.services.views import MemberView, NewMember


class Person(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new member."""

    name: str
    email: str
    role: Role


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
    """Add a member. The link for the first sign-in is in this answer only."""
    return given(await members.create(house, member, data.name, data.email, data.role))


@post("/members/{identity:uuid}/link", status_code=HTTP_201_CREATED)
async def create_sign_in_link(identity: FromPath[UUID], member: Member_, house: House_) -> NewLink:
    """Make another sign-in link for a member. It is in this answer only."""
    return NewLink(link=given(await members.new_link(house, member, identity)))


handlers = [list_members, create_member, create_sign_in_link]
