"""Pages of members around shares: the transcript editor with its preview, the list of shares, taking a session over."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from caisey_core.domain.roles import Member
from caisey_core.http.pages.answers import Done, answer, given, unless
from caisey_core.http.rendering import AnyRequest, html, page, render
from caisey_core.services import sessions, shares, transcripts
from caisey_core.services.house import House
from caisey_core.services.marks import KINDS


@post("/sessions/{session:uuid}/transcripts", status_code=200)
async def create(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Freeze a session and go to its editor."""
    made = given(await transcripts.create(house, member, session))
    address = f"/t/{member.tenant_slug}/transcripts/{made.id}"
    return answer(
        request, Done(said="This is a frozen copy: what happens in the session from now on is not in it.", go=address), address
    )


@get("/transcripts/{transcript:uuid}")
async def edit(
    request: AnyRequest, transcript: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Show all lines of a transcript, to be reviewed one by one."""
    view = given(await transcripts.page(house, member, transcript))
    return await page(house, request, member, "share/editor.html", nav="shares", view=view, kinds=KINDS)


@get("/transcripts/{transcript:uuid}/preview")
async def preview(
    request: AnyRequest, transcript: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Show what a reader would get."""
    view = given(await transcripts.preview(house, member, transcript))
    text = render(request, "share/page.html", view=view, link="", hand_off=None, preview=True)
    return html(request, text)


@get("/shares")
async def list_shares(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], before: FromQuery[int | None] = None
) -> Response[bytes]:
    """Show the tenant's shares."""
    view = given(await shares.page(house, member, before))
    return await page(house, request, member, "share/list.html", nav="shares", view=view, before=before)


@post("/shares/{share:uuid}/revoke", status_code=200)
async def revoke(
    request: AnyRequest, share: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Stop a link at once."""
    unless(await shares.revoke(house, member, share))
    address = f"/t/{member.tenant_slug}/shares"
    return answer(request, Done(said="The link has stopped; open pages are told.", go=address), address)


@post("/sessions/{session:uuid}/take-over", status_code=200)
async def take_over(
    request: AnyRequest, session: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Take a running session over and go to its live shell."""
    card = given(await sessions.take_over(house, member, session))
    address = f"/t/{member.tenant_slug}/sessions/{card.id}"
    return answer(request, Done(said=f"The session on {card.device_name} is yours.", go=address), address)


handlers = [create, edit, preview, list_shares, revoke, take_over]
