"""Shares: links to published transcripts, for people without an account; with what they may read, and who opened them."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from typing import IO, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from caisey_core.catalogue.outcomes import Taken, unless_taken
from caisey_core.catalogue.shares import ShareRow
from caisey_core.catalogue.tenants import Tenant
from caisey_core.catalogue.transcripts import TranscriptRow
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.services import passcodes
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import NOT_FOUND, bad_input
from caisey_core.services.readable import entries_of, title_of
from caisey_core.services.review import card
from caisey_core.services.share_views import NewShare, PublicPage, SharesPage, ShareState, ShareView
from caisey_core.services.tokens import hash_of, new_token
from caisey_core.services.views import SessionCard

PAGE: Final = 50
LARGEST: Final = 64 << 20  # bytes of a bundle that is served by link
PART: Final = 1 << 20
LONGEST_HOURS: Final = 24 * 366
GONE: Final = Refused(
    "There is nothing at this address.", "The link may have ended. Ask whoever gave it to you for a new one.", 404
)
What = Literal["page", "bundle", "terminal"]
_WRONG: Final = "This is not the passcode."


class Guarded(Struct, frozen=True):
    """How a share is guarded: the passcode's hash, and when it ends."""

    passcode: str
    expires_at: int | None


class Found(Struct, frozen=True):
    """A share that is open."""

    tenant: Tenant
    share: ShareRow
    transcript: TranscriptRow


class Locked(Struct, frozen=True):
    """A share that asks for a passcode first."""

    found: Found


async def guarded(house: House, passcode: str, expires_hours: int | None) -> Guarded | Refused:
    """Check and prepare what guards a share."""
    if passcode and (refused := passcodes.check(passcode)) is not None:
        return refused
    if expires_hours is not None and not 1 <= expires_hours <= LONGEST_HOURS:
        return bad_input("expires_hours", f"A share ends after 1 to {LONGEST_HOURS} hours.", "Correct the hours.")
    kept = await passcodes.hashed(house.sharing, passcode) if passcode else ""
    return Guarded(kept, house.clock.now() + expires_hours * 3_600_000_000 if expires_hours is not None else None)


# --- for members ---------------------------------------------------------------------------------------------------------


class Made(Struct, frozen=True):
    """What is known of a bundle that is about to be shared."""

    title: str
    edited: int
    terminal: bool
    sealed: bool


async def store(house: House, tenant: UUID, share: UUID, bundle: IO[bytes], size: int) -> Made | Refused:
    """Keep a bundle, and what a reader's page shows of it, to be served."""
    if size > LARGEST:
        return Refused("This transcript is too large to be shared by link.", "Export the session and hand the file over.", 413)

    def unpacked() -> tuple[bytes, bytes, Made]:
        with zipfile.ZipFile(bundle) as made:
            index = made.read("index.html")
            cast = made.read("terminal.cast") if "terminal.cast" in made.namelist() else b""
            edits = len(msgspec.json.decode(made.read("edits.json")))
            sealed = bool(msgspec.json.decode(made.read("manifest.json"))["sealed"])
        return entries_of(index), cast, Made(title_of(index), edits, bool(cast), sealed)

    entries, cast, made = await asyncio.to_thread(unpacked)
    bundle.seek(0)
    for name, file in (("page", io.BytesIO(entries)), ("terminal", io.BytesIO(cast)), ("bundle", bundle)):
        part = 0
        while data := await asyncio.to_thread(file.read, PART):
            await house.catalogue.shares.add_part(tenant, share, name, part, data)
            part += 1
    return made


async def create(
    house: House, member: Member, transcript: TranscriptRow, share: UUID, how: Guarded, made: Made
) -> NewShare | Refused:
    """Make the link of a transcript that was published."""
    token, token_hash = new_token()
    row = ShareRow(
        id=share,
        transcript=transcript.id,
        session=transcript.session,
        token_hash=token_hash,
        passcode=how.passcode,
        created_at=house.clock.now(),
        created_by_name=member.name,
        refreshed_at=None,
        expires_at=how.expires_at,
        revoked_at=None,
        revoked_by_name="",
        openings=0,
        last_opened_at=None,
        title=made.title,
        edited=made.edited,
        terminal=made.terminal,
        sealed=made.sealed,
    )
    if isinstance(await unless_taken(house.catalogue.shares.create(member.tenant, row)), Taken):
        await house.catalogue.shares.delete(member.tenant, share)
        return Refused("Somebody else published this transcript at this moment.", "Load the page again.")
    return NewShare(share=share, link=f"{house.config.url}/share/{token}")


def _state(house: House, row: ShareRow) -> ShareState:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= house.clock.now() else "open"


def _view(house: House, row: ShareRow, transcript: TranscriptRow, of: SessionCard | None) -> ShareView:
    return ShareView(
        id=row.id,
        transcript=row.transcript,
        session=row.session,
        device_name=of.device_name if of is not None else "",
        client_name=of.client_name if of is not None else "",
        state=_state(house, row),
        passcode=bool(row.passcode),
        created_at=row.created_at,
        created_by=row.created_by_name,
        refreshed_at=row.refreshed_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by_name,
        openings=row.openings,
        last_opened_at=row.last_opened_at,
        lines=transcript.lines,
        withheld=transcript.withheld,
        hidden=transcript.hidden,
    )


async def of_transcript(house: House, member: Member, transcript: TranscriptRow) -> ShareView | None:
    """Return the share of a transcript, if it has one."""
    row = await house.catalogue.shares.of_transcript(member.tenant, transcript.id)
    return _view(house, row, transcript, None) if row is not None else None


async def page(house: House, member: Member, before: int | None, limit: int = PAGE) -> SharesPage | Refused:
    """Return the shares of sessions within the member's reach, newest first."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    rows = await house.catalogue.shares.newest(member.tenant, before, limit + 1)
    shown = list[ShareView]()
    for row in rows[:limit]:
        of = await card(house, member, row.session)
        transcript = await house.catalogue.transcripts.by_id(member.tenant, row.transcript)
        if of is not None and transcript is not None:
            shown.append(_view(house, row, transcript, of))
    after = rows[limit - 1].created_at if len(rows) > limit else None
    return SharesPage(shares=tuple(shown), next=after, may_change=member.may(May.SHARE))


async def _mine(house: House, member: Member, share: UUID) -> ShareRow | Refused:
    if (refused := refuse_unless(member, May.SHARE)) is not None:
        return refused
    row = await house.catalogue.shares.by_id(member.tenant, share)
    if row is None or await card(house, member, row.session) is None:
        return NOT_FOUND
    return row


async def refresh(house: House, member: Member, share: UUID, passcode: str, expires_hours: int | None) -> NewShare | Refused:
    """Make a new link: the old one stops at once, whoever has it open. Passcode and end are those given now."""
    row = await _mine(house, member, share)
    if isinstance(row, Refused):
        return row
    how = await guarded(house, passcode, expires_hours)
    if isinstance(how, Refused):
        return how
    token, token_hash = new_token()
    event = e.ShareRefreshed(
        actor=member.actor,
        at=STAMPED,
        share=share,
        transcript=row.transcript,
        session=row.session,
        passcode=bool(how.passcode),
        expires_at=how.expires_at,
    )
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    await house.catalogue.shares.refresh(member.tenant, share, token_hash, how.passcode, how.expires_at, house.clock.now())
    house.sharing.end(share)
    return NewShare(share=share, link=f"{house.config.url}/share/{token}")


async def revoke(house: House, member: Member, share: UUID) -> Refused | None:
    """Stop a link at once, whoever has it open."""
    row = await _mine(house, member, share)
    if isinstance(row, Refused):
        return row
    if row.revoked_at is not None:
        return Refused(f"{row.revoked_by_name} revoked this share already.", "Nothing more is needed.")
    event = e.ShareRevoked(
        actor=member.actor, at=STAMPED, share=share, transcript=row.transcript, session=row.session, reason="revoked"
    )
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    await house.catalogue.shares.revoke(member.tenant, share, member.name, house.clock.now())
    house.sharing.end(share)
    return None


async def forget(house: House, tenant: UUID, session: UUID) -> None:
    """End a session's shares because what they show was erased."""
    for row in await house.catalogue.shares.of_session(tenant, session):
        if row.revoked_at is None:
            event = e.ShareRevoked(
                actor=e.SERVER, at=STAMPED, share=row.id, transcript=row.transcript, session=session, reason="erased"
            )
            await house.journal.audit(tenant, event)
        await house.catalogue.shares.delete(tenant, row.id)
        house.sharing.end(row.id)


# --- for whoever has the link --------------------------------------------------------------------------------------------


async def enter(house: House, token: str, cookie: str) -> Found | Locked | None:
    """Return an open share; Locked if it asks for its passcode; None for what ended, and for what never was."""
    found = await house.catalogue.shares.by_hash(hash_of(token))
    if found is None:
        return None
    identity, row = found
    tenant = await house.catalogue.tenants.by_id(identity)
    transcript = await house.catalogue.transcripts.by_id(identity, row.transcript)
    if tenant is None or transcript is None or _state(house, row) != "open":
        return None
    open_ = Found(tenant, row, transcript)
    now = house.clock.now() // 1_000_000
    if row.passcode and not passcodes.holds(row.passcode, row.token_hash, cookie, now):
        return Locked(open_)
    return open_


async def unlock(house: House, found: Found, typed: str, address: str) -> str | Refused:
    """Judge a passcode: what the reader's cookie is to say, or why not. Wrong ones slow down this share, and nothing else."""
    share, guesses = found.share, house.sharing.guesses
    now = house.clock.now() / 1_000_000
    if (pause := guesses.wait_seconds(share.id, address, now)) > 0:
        return Refused(
            "There were too many wrong passcodes.",
            f"Wait {_seconds(pause)} and try again.",
            429,
            "passcode",
            retry_after_seconds=pause,
        )
    guesses.wrong(share.id, address, now)  # counted before the hash is made, so that a hundred at once are not a hundred tries
    if await passcodes.right(house.sharing, share.passcode, typed):
        guesses.right(share.id, address)
        return passcodes.pass_for(share.passcode, share.token_hash, int(now))
    event = e.SharePasscodeRefused(
        actor=e.Actor("stranger"),
        at=STAMPED,
        share=share.id,
        transcript=share.transcript,
        session=share.session,
        address=address,
    )
    if (refused := await house.journal.audit(found.tenant.id, event)) is not None:
        return refused
    return Refused(_WRONG, "Look at it again, or ask whoever gave you the link.", 422, "passcode")


def _seconds(pause: float) -> str:
    seconds = max(1, round(pause))
    return f"{seconds} seconds" if seconds < 90 else f"{round(seconds / 60)} minutes"


async def opened(house: House, found: Found, what: What, address: str, reader: Member | None) -> Refused | None:
    """Write down that somebody reads it, before they do."""
    mine = reader is not None and reader.tenant == found.tenant.id
    now = house.clock.now()
    if not house.sharing.openings.admit(found.share.id, now / 1_000_000):
        return Refused("This is read too often at the moment.", "Wait a minute and load the page again.", 429, "", 60)
    event = e.ShareOpened(
        actor=reader.actor if mine and reader is not None else e.Actor("stranger"),
        at=STAMPED,
        share=found.share.id,
        transcript=found.transcript.id,
        session=found.share.session,
        what=what,
        address=address,
    )
    if (refused := await house.journal.audit(found.tenant.id, event)) is not None:
        return refused
    await house.catalogue.shares.opened(found.tenant.id, found.share.id, now)
    return None


async def public_page(house: House, found: Found) -> PublicPage | Refused:
    """Return what a reader sees: all of it was made when the transcript was published."""
    share = found.share
    entries = b"".join([part async for part in house.catalogue.shares.file(found.tenant.id, share.id, "page")])
    if not entries:
        return GONE
    return PublicPage(
        tenant=found.tenant.name,
        vkey=house.record.vkey(found.tenant.id),
        entries=entries.decode(),
        title=share.title,
        lines=found.transcript.lines,
        withheld=found.transcript.withheld,
        hidden=found.transcript.hidden,
        edited=share.edited,
        published_at=found.transcript.published_at or share.created_at,
        expires_at=share.expires_at,
        terminal=share.terminal,
        sealed=share.sealed,
    )


def file(house: House, found: Found, what: Literal["bundle", "terminal"]) -> AsyncIterator[bytes]:
    """Return the bundle of a share, or the recording of its terminal: both are made from what is shown, and nothing else."""
    return house.catalogue.shares.file(found.tenant.id, found.share.id, what)
