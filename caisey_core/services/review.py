"""Looking back: the review of a session, its full outputs, and the verdict on its record."""

from collections.abc import AsyncIterator
from uuid import UUID

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.record.store import Recorded
from caisey_core.services import clients, members
from caisey_core.services.cards import card_of, card_of_row, device_row
from caisey_core.services.commands import working
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, stream_of
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.timeline import Timeline, fold
from caisey_core.services.verification import verify_session
from caisey_core.services.views import Board, Proof, ReviewPage, SessionCard, SessionFilter, SessionPage

READ_AT_ONCE = 1000
DONE_SHOWN = 50


async def card(house: House, member: Member, session: UUID) -> SessionCard | None:
    """Return a session, open or past; None for what is not there or not the member's."""
    opened = house.journal.open.get(session)
    if opened is not None and opened.state.started is not None:
        mine = opened.tenant == member.tenant and member.serves(opened.started.client)
        return card_of(house, opened) if mine else None
    row = await house.catalogue.sessions.by_id(member.tenant, session)
    return card_of_row(row) if row is not None and member.serves(row.client) else None


async def rows_of(house: House, tenant: UUID, session: UUID, start: int = 0) -> AsyncIterator[Recorded]:
    """Yield a session's events with their disclosures, in order, from a position on."""
    position = start
    while rows := await house.record.read(tenant, stream_of(session), position, READ_AT_ONCE):
        for row in rows:
            yield row
        position += len(rows)


async def _timeline(house: House, tenant: UUID, session: UUID) -> Timeline:
    return fold([row async for row in rows_of(house, tenant, session)])


async def page(house: House, member: Member, session: UUID) -> ReviewPage | Refused:
    """Return all of a session, with the verdict on its record. Opening a review is itself an event of the audit log."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    found = await card(house, member, session)
    if found is None:
        return NOT_FOUND
    event = e.ReviewOpened(actor=member.actor, at=STAMPED, session=session)
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    timeline = await _timeline(house, member.tenant, session)
    end = found.ended_at if found.ended_at is not None else house.clock.now()
    events = timeline.entries[-1].position + 1 if timeline.entries else 0
    return ReviewPage(
        card=found,
        notes=timeline.notes,
        checked=timeline.checked,
        duration_us=end - found.granted_at if found.granted_at is not None else None,
        participants=tuple(timeline.people.values()),
        entries=tuple(timeline.entries),
        commands=len(timeline.commands),
        files=len(timeline.transfers),
        events=events,
        proof=await proof(house, member.tenant, session),
    )


async def proof(house: House, tenant: UUID, session: UUID) -> Proof:
    """Check a session's record now and say what was proved."""
    verdict = await verify_session(house.record, tenant, session)
    if verdict.ok:
        return Proof(ok=True, sentence=verdict.sentence, proved=verdict.proved)
    return Proof(ok=False, sentence="The record does not hold.", proved=verdict.proved, broken=str(verdict.broken))


async def work_page(house: House, member: Member, session: UUID) -> SessionPage | Refused:
    """Return a session as its technician works in it; others may watch where their role lets them."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    found = await card(house, member, session)
    if found is None:
        return NOT_FOUND
    device = house.live.roster.get(member.tenant, found.device)
    if device is None:
        return Refused("The device of this session was removed.", "Open the review of the session instead.", 404)
    timeline = await _timeline(house, member.tenant, session)
    outcome = await working(house, member, session)
    why_not = outcome.reason if isinstance(outcome, Refused) else ""
    if found.sealed:
        why_not = "This session is over."
    watching = house.live.watchers.members(session)
    names = [row.name for row in await house.catalogue.members.list(member.tenant) if row.id in watching]
    moving = {moving.card.id: moving.card for moving in house.transfers.moving.values()}
    return SessionPage(
        card=found,
        row=device_row(house, device),
        facts=device.facts,
        commands=tuple(timeline.commands.values()),
        transfers=tuple(moving.get(one.id, one) for one in timeline.transfers.values()),
        people=tuple(names),
        mine=not why_not,
        why_not=why_not,
        technicians=await members.technicians(house, member),
        largest_file=house.config.largest_file_bytes,
    )


async def board(house: House, member: Member, wanted: SessionFilter) -> Board:
    """Return all sessions by where they stand."""
    words = wanted.q.lower().split()

    def fits(found: SessionCard) -> bool:
        text = f"{found.device_name} {found.reason} {found.technician_name} {found.client_name} {found.who}".lower()
        return (
            member.serves(found.client)
            and (wanted.client is None or found.client == wanted.client)
            and (wanted.technician is None or found.technician == wanted.technician)
            and all(word in text for word in words)
        )

    await house.projector.flush()
    opened = [
        card_of(house, s) for s in house.journal.open.values() if s.tenant == member.tenant and s.state.started is not None
    ]
    opened = [found for found in opened if fits(found)]
    ids = {found.id for found in opened}
    past = [card_of_row(row) for row in await house.catalogue.sessions.ended(member.tenant, limit=DONE_SHOWN)]
    done = [found for found in opened if found.ended_at is not None]
    done += [found for found in past if found.id not in ids and fits(found)]
    done.sort(key=lambda found: found.ended_at or 0, reverse=True)
    return Board(
        filter=wanted,
        pending=_by_age(opened, "requested", "pending consent"),
        active=_by_age(opened, "active"),
        interrupted=_by_age(opened, "interrupted"),
        done=tuple(done[:DONE_SHOWN]),
        clients=await clients.choices(house, member),
        technicians=await members.technicians(house, member),
    )


def _by_age(cards: list[SessionCard], *states: str) -> tuple[SessionCard, ...]:
    return tuple(sorted((found for found in cards if found.state in states), key=lambda found: found.requested_at))


async def output(house: House, member: Member, session: UUID, command: UUID) -> bytes | Refused:
    """Return all of a command's recorded output."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    if await card(house, member, session) is None:
        return NOT_FOUND
    kept, known = bytearray(), False
    async for row in rows_of(house, member.tenant, session):
        event = e.decode(row.event)
        known = known or (isinstance(event, e.CommandAccepted) and event.command == command)
        if isinstance(event, e.OutputReceived) and event.command == command and row.disclosure is not None:
            kept += row.disclosure.texts[0]
    return bytes(kept) if known else NOT_FOUND
