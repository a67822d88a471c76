"""Transcripts: a frozen copy of a session is reviewed line by line, by one or several people, and published."""

import asyncio
from typing import Final
from uuid import UUID, uuid4

import msgspec
from msgspec.structs import replace

from caisey_core.catalogue.transcripts import TranscriptRow
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.record.store import Store
from caisey_core.record.verify import events_of
from caisey_core.services import export, shares
from caisey_core.services.cuts import Decisions, Plan, check, plan
from caisey_core.services.house import House
from caisey_core.services.journal import AUDIT, STAMPED, stream_of
from caisey_core.services.marks import Looker
from caisey_core.services.outcomes import NOT_FOUND, bad_input
from caisey_core.services.readable import entries_of, title_of
from caisey_core.services.reading import Reading, read
from caisey_core.services.review import card
from caisey_core.services.share_views import EditorPage, NewShare, PublicPage, Standing, TranscriptView
from caisey_core.services.views import SessionCard

MOST_LINES: Final = 20_000  # nobody reviews more line by line
TOO_LONG: Final = Refused(
    f"This session has more than {MOST_LINES} lines, which nobody can review one by one.",
    "Export the whole session for somebody who may see everything of it.",
    413,
)
PUBLISHED: Final = Refused(
    "This transcript is published; it does not change any more.", "Make another transcript of the session."
)
_decode: Final[msgspec.msgpack.Decoder[Decisions]] = msgspec.msgpack.Decoder(Decisions)


async def create(house: House, member: Member, session: UUID) -> TranscriptView | Refused:
    """Freeze a session as it is now and begin to review it."""
    if (refused := refuse_unless(member, May.SHARE)) is not None:
        return refused
    if await card(house, member, session) is None:
        return NOT_FOUND
    transcript = uuid4()
    reading = await _read(house, member, transcript, session, None)
    if isinstance(reading, Refused):
        return reading
    lines = sum(not line.gone for line in reading.lines)
    event = e.TranscriptCreated(
        actor=member.actor, at=STAMPED, transcript=transcript, session=session, events=reading.events, lines=lines
    )
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    now = house.clock.now()
    row = TranscriptRow(
        id=transcript,
        session=session,
        events=reading.events,
        version=0,
        decisions=msgspec.msgpack.encode(Decisions()),
        created_at=now,
        created_by_name=member.name,
        changed_at=now,
        changed_by_name=member.name,
        lines=lines,
        withheld=0,
        hidden=0,
        published_at=None,
    )
    await house.catalogue.transcripts.create(member.tenant, row)
    return await view(house, member, row)


async def view(house: House, member: Member, row: TranscriptRow) -> TranscriptView:
    """Return a transcript as lists show it."""
    return TranscriptView(
        id=row.id,
        session=row.session,
        events=row.events,
        version=row.version,
        created_at=row.created_at,
        created_by=row.created_by_name,
        changed_at=row.changed_at,
        changed_by=row.changed_by_name,
        lines=row.lines,
        withheld=row.withheld,
        hidden=row.hidden,
        published_at=row.published_at,
        share=await shares.of_transcript(house, member, row),
    )


async def of_session(house: House, member: Member, session: UUID) -> tuple[TranscriptView, ...] | Refused:
    """Return a session's transcripts, newest first."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    if await card(house, member, session) is None:
        return NOT_FOUND
    rows = await house.catalogue.transcripts.of_session(member.tenant, session)
    return tuple([await view(house, member, row) for row in rows])


async def find(house: House, member: Member, transcript: UUID) -> tuple[TranscriptRow, SessionCard] | Refused:
    """Return a transcript of a session within the member's reach, for who may share."""
    if (refused := refuse_unless(member, May.SHARE)) is not None:
        return refused
    row = await house.catalogue.transcripts.by_id(member.tenant, transcript)
    found = await card(house, member, row.session) if row is not None else None
    return (row, found) if row is not None and found is not None else NOT_FOUND


async def _read(house: House, member: Member, transcript: UUID, session: UUID, size: int | None) -> Reading | Refused:
    """Return the lines of a session's first events; of all that are durable, if no size is given."""
    if (kept := house.sharing.reading(transcript)) is not None:
        return kept

    def work(store: Store) -> Reading | Refused:
        stream = stream_of(session)
        head = store.head(member.tenant, stream)
        if head is None:
            return NOT_FOUND
        reading = read(events_of(store, member.tenant, stream), size or head.size)
        return reading if len(reading.lines) <= MOST_LINES else TOO_LONG

    reading = await house.record.in_reader(work)
    if isinstance(reading, Reading):
        house.sharing.keep(transcript, reading)
    return reading


def _enrolment(store: Store, member: Member, device: UUID | None) -> tuple[str, str]:
    """Return name and address with which a device enrolled: they are in the proof of its key."""
    for row in events_of(store, member.tenant, AUDIT):
        event = e.decode(row.event)
        if isinstance(event, e.DeviceEnrolled) and event.device == device:
            return event.name, event.address
    return "", ""


async def _planned(
    house: House, member: Member, row: TranscriptRow, decisions: Decisions
) -> tuple[Reading, Plan, tuple[str, str]] | Refused:
    reading = await _read(house, member, row.id, row.session, row.events)
    if isinstance(reading, Refused):
        return reading
    if (refused := check(reading, decisions)) is not None:
        return refused
    device = reading.device
    name, address = await house.record.in_reader(lambda store: _enrolment(store, member, device))
    given = {"company": member.tenant_name, "publisher": member.name}
    if decisions.device:
        given["enrolment"] = f"{name} {address}"
    made = await asyncio.to_thread(plan, reading, decisions, given)
    return reading, replace(made, transcript=replace(made.transcript, events=row.events)), (name, address)


def _standing(row: TranscriptRow, decisions: Decisions, made: Plan) -> Standing:
    return Standing(
        version=row.version,
        decisions=decisions,
        changed_at=row.changed_at,
        changed_by=row.changed_by_name,
        lines=made.lines,
        withheld=made.withheld,
        edited=made.edited,
        hidden=len(made.transcript.hidden),
        hidden_events=tuple(sorted(made.transcript.hidden)),
        receipts=made.receipts,
        open_marks=made.open_marks,
        leaks=made.leaks,
    )


async def page(house: House, member: Member, transcript: UUID) -> EditorPage | Refused:
    """Return the editor."""
    found = await find(house, member, transcript)
    if isinstance(found, Refused):
        return found
    row, of = found
    decisions = _decode.decode(row.decisions)
    planned = await _planned(house, member, row, decisions)
    if isinstance(planned, Refused):
        return planned
    reading, made, (name, address) = planned
    return EditorPage(
        card=of,
        transcript=await view(house, member, row),
        standing=_standing(row, decisions, made),
        lines=reading.lines,
        enrolment=f"{name} enrolled from {address}" if name else "",
        enrolment_private=bool(Looker().marks(address)),
    )


async def standing(house: House, member: Member, transcript: UUID) -> Standing | Refused:
    """Return how a review stands now."""
    found = await find(house, member, transcript)
    if isinstance(found, Refused):
        return found
    decisions = _decode.decode(found[0].decisions)
    planned = await _planned(house, member, found[0], decisions)
    return planned if isinstance(planned, Refused) else _standing(found[0], decisions, planned[1])


async def save(house: House, member: Member, transcript: UUID, seen: int, decisions: Decisions) -> Standing | Refused:
    """Save decisions over the version that the reviewer saw; refused in words if somebody else saved meanwhile."""
    found = await find(house, member, transcript)
    if isinstance(found, Refused):
        return found
    row = found[0]
    if row.published_at is not None:
        return PUBLISHED
    if row.version != seen:
        return _stale(row)
    planned = await _planned(house, member, row, decisions)
    if isinstance(planned, Refused):
        return planned
    made = planned[1]
    changed = replace(
        row,
        version=seen + 1,
        decisions=msgspec.msgpack.encode(decisions),
        changed_at=house.clock.now(),
        changed_by_name=member.name,
        withheld=made.withheld,
        hidden=len(made.transcript.hidden),
    )
    if not await house.catalogue.transcripts.save(member.tenant, changed, seen):
        newest = await house.catalogue.transcripts.by_id(member.tenant, transcript)
        return _stale(newest) if newest is not None else NOT_FOUND
    event = e.TranscriptChanged(
        actor=member.actor,
        at=STAMPED,
        transcript=transcript,
        session=row.session,
        version=changed.version,
        withheld=made.withheld,
        hidden=len(made.transcript.hidden),
    )
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    return _standing(changed, decisions, made)


def _stale(row: TranscriptRow) -> Refused:
    if row.published_at is not None:
        return replace(
            PUBLISHED, reason=f"{row.changed_by_name} published this transcript meanwhile; it does not change any more."
        )
    lines = f"{row.withheld} lines are withheld now" + (f", {row.hidden} events as a whole" if row.hidden else "")
    return Refused(
        f"{row.changed_by_name} saved this transcript meanwhile: {lines}. Nothing of yours was saved.",
        "What you decided is still on this page. Put it together with what was saved, or take one of the two.",
        409,
        "version",
    )


def _not_ready(made: Plan, acknowledged: int) -> Refused | None:
    if made.open_marks:
        return Refused(
            f"{made.open_marks} marks are not decided.", "Withhold what was marked, or say that it may stay.", 422, "marks"
        )
    if made.leaks:
        return Refused(
            "Something that you withheld can still be read elsewhere in this transcript.",
            "Withhold it there as well, or show it again.",
            422,
            "leaks",
        )
    if acknowledged != made.lines:
        return bad_input(
            "acknowledged",
            f"It is not said that somebody has looked at all {made.lines} lines.",
            "Look at them, and tick the box.",
        )
    return None


async def preview(house: House, member: Member, transcript: UUID) -> PublicPage | Refused:
    """Return what a reader would get, as it was saved last."""
    found = await find(house, member, transcript)
    if isinstance(found, Refused):
        return found
    row = found[0]
    planned = await _planned(house, member, row, _decode.decode(row.decisions))
    if isinstance(planned, Refused):
        return planned
    made = planned[1]
    index = await export.page_of(house, member, row.session, made.transcript)
    if isinstance(index, Refused):
        return index
    return PublicPage(
        tenant=member.tenant_name,
        vkey=house.record.vkey(member.tenant),
        entries=entries_of(index).decode(),
        lines=made.lines,
        withheld=made.withheld,
        hidden=len(made.transcript.hidden),
        edited=made.edited,
        published_at=house.clock.now(),
        expires_at=None,
        terminal=False,
        sealed=found[1].sealed,
        title=title_of(index),
    )


async def publish(
    house: House,
    member: Member,
    transcript: UUID,
    seen: int,
    acknowledged: int,
    passcode: str,
    expires_hours: int | None,
) -> NewShare | Refused:
    """Publish a transcript whose reviewer has looked at all lines. The link is in this answer only."""
    found = await find(house, member, transcript)
    if isinstance(found, Refused):
        return found
    row = found[0]
    if await house.catalogue.shares.of_transcript(member.tenant, transcript) is not None:
        return PUBLISHED
    if row.version != seen:
        return _stale(row)
    planned = await _planned(house, member, row, _decode.decode(row.decisions))
    if isinstance(planned, Refused):
        return planned
    made = planned[1]
    if (refused := _not_ready(made, acknowledged)) is not None:
        return refused
    guarded = await shares.guarded(house, passcode, expires_hours)
    if isinstance(guarded, Refused):
        return guarded
    bundle = await export.make(house, member, row.session, made.transcript)
    if isinstance(bundle, Refused):
        return bundle
    share = uuid4()
    with bundle.file as file:
        stored = await shares.store(house, member.tenant, share, file, bundle.size)
    if isinstance(stored, Refused):
        return stored
    if row.published_at is None and not await house.catalogue.transcripts.publish(
        member.tenant, transcript, seen, house.clock.now()
    ):
        await house.catalogue.shares.delete(member.tenant, share)
        newest = await house.catalogue.transcripts.by_id(member.tenant, transcript)
        return _stale(newest) if newest is not None else NOT_FOUND
    event = e.TranscriptPublished(
        actor=member.actor,
        at=STAMPED,
        transcript=transcript,
        session=row.session,
        share=share,
        lines=made.lines,
        withheld=made.withheld,
        hidden=len(made.transcript.hidden),
        passcode=bool(guarded.passcode),
        expires_at=guarded.expires_at,
    )
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        await house.catalogue.transcripts.unpublish(member.tenant, transcript)
        await house.catalogue.shares.delete(member.tenant, share)
        return refused
    return await shares.create(house, member, row, share, guarded, stored)


async def forget(house: House, tenant: UUID, session: UUID) -> None:
    """Take away all that transcripts and shares hold of a session, because it was erased: files, decisions, links.

    Shares end at once, also for who has them open. Call it after the disclosures are gone; it can be repeated.
    """
    for row in await house.catalogue.transcripts.of_session(tenant, session):
        house.sharing.drop(row.id)
    await shares.forget(house, tenant, session)
    await house.catalogue.transcripts.delete_of_session(tenant, session)
