"""Transcripts and shares for members, as JSON: what the editor's page and API clients send."""

from typing import Final
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_201_CREATED
from msgspec import Struct

from caisey_core.domain.roles import Member
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given, unless
from caisey_core.services import sessions, shares, transcripts
from caisey_core.services.cursors import Page, cut, read, write
from caisey_core.services.cuts import Cut, Decisions
from caisey_core.services.house import House
from caisey_core.services.share_views import EditorPage, NewShare, PublicPage, ShareView, Standing, TranscriptView
from caisey_core.services.views import SessionCard

House_ = NamedDependency[House]
Member_ = NamedDependency[Member]
LARGEST_SAVE: Final = 8 << 20  # bytes of all decisions about one transcript


class Save(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All decisions, and which version they were made over."""

    version: int
    cuts: dict[str, Cut] = {}
    kept: tuple[str, ...] = ()
    device: bool = True


class Publish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`acknowledged` is the number of lines that the reviewer has looked at: all of them."""

    version: int
    acknowledged: int
    passcode: str = ""
    expires_hours: int | None = None


class Guard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    passcode: str = ""
    expires_hours: int | None = None


@get("/transcripts/{transcript:uuid}/standing")
async def show_standing(transcript: FromPath[UUID], member: Member_, house: House_) -> Standing:
    """Show what is decided, what follows from it, and what is still in the way of publishing."""
    return given(await transcripts.standing(house, member, transcript))


@post("/transcripts/{transcript:uuid}/decisions", status_code=200, request_max_body_size=LARGEST_SAVE)
async def decide_transcript(transcript: FromPath[UUID], data: JSONBody[Save], member: Member_, house: House_) -> Standing:
    """Save all decisions. 409 says that somebody else saved since the version that these were made over."""
    decisions = Decisions(cuts=data.cuts, kept=data.kept, device=data.device)
    return given(await transcripts.save(house, member, transcript, data.version, decisions))


@post("/transcripts/{transcript:uuid}/publish", status_code=HTTP_201_CREATED)
async def publish_transcript(transcript: FromPath[UUID], data: JSONBody[Publish], member: Member_, house: House_) -> NewShare:
    """Publish. The link is in this answer only."""
    return given(
        await transcripts.publish(house, member, transcript, data.version, data.acknowledged, data.passcode, data.expires_hours)
    )


@post("/shares/{share:uuid}/refresh", status_code=HTTP_201_CREATED)
async def refresh_share(share: FromPath[UUID], data: JSONBody[Guard], member: Member_, house: House_) -> NewShare:
    """Make a new link; the old one stops at once. The link is in this answer only."""
    return given(await shares.refresh(house, member, share, data.passcode, data.expires_hours))


@post("/sessions/{session:uuid}/transcripts", status_code=HTTP_201_CREATED)
async def create_transcript(session: FromPath[UUID], member: Member_, house: House_) -> TranscriptView:
    """Freeze a session as it is now, to be reviewed and shared."""
    return given(await transcripts.create(house, member, session))


@get("/sessions/{session:uuid}/transcripts")
async def list_transcripts(
    session: FromPath[UUID], member: Member_, house: House_, after: After = "", limit: Limit = USUAL
) -> Page[TranscriptView]:
    """List a session's transcripts, newest first."""
    rows = given(await transcripts.of_session(house, member, session))
    return given(cut(rows, lambda row: (row.created_at, row.id), tuple[int, UUID], after, limit, falling=True))


@get("/transcripts/{transcript:uuid}/preview")
async def preview_transcript(transcript: FromPath[UUID], member: Member_, house: House_) -> PublicPage:
    """Show what a reader would get, as it was saved last. `entries` is the HTML of the reader's page."""
    return given(await transcripts.preview(house, member, transcript))


@get("/transcripts/{transcript:uuid}")
async def show_transcript(transcript: FromPath[UUID], member: Member_, house: House_) -> EditorPage:
    """Show all lines of a transcript with their marks, and how its review stands."""
    return given(await transcripts.page(house, member, transcript))


@get("/shares")
async def list_shares(member: Member_, house: House_, after: After = "", limit: Limit = USUAL) -> Page[ShareView]:
    """List shares, newest first."""
    found = given(await shares.page(house, member, given(read(after, int)) if after else None, limit))
    return Page(found.shares, write(found.next) if found.next is not None else "")


@post("/shares/{share:uuid}/revoke", status_code=200)
async def revoke_share(share: FromPath[UUID], member: Member_, house: House_) -> None:
    """Stop a link at once."""
    unless(await shares.revoke(house, member, share))


@post("/sessions/{session:uuid}/take-over", status_code=200)
async def take_over_session(session: FromPath[UUID], member: Member_, house: House_) -> SessionCard:
    """Take a running session over: shell and history as they stand."""
    return given(await sessions.take_over(house, member, session))


shared_handlers = [show_standing, decide_transcript, publish_transcript, refresh_share]  # the editor's page sends these
handlers = [
    *shared_handlers,
    create_transcript,
    list_transcripts,
    show_transcript,
    preview_transcript,
    list_shares,
    revoke_share,
    take_over_session,
]
