"""Looking back: the review of a session, its full outputs, and the verdict on its record."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator
from uuid import UUID

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.record.store import Recorded
from caisey_core.record.verify import events_of
from caisey_core.services import clients, cursors, members
from caisey_core.services.cards import card_of, card_of_row, device_row
from caisey_core.services.cast import Cast
from caisey_core.services.commands import working
from caisey_core.services.cursors import Page
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, stream_of
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.outlines import Outline
from caisey_core.services.timeline import Timeline, fold
from caisey_core.services.views import (
    Board,
    EntryDetail,
    EntryFilter,
    EntryPart,
    Proof,
    ReviewPage,
    ReviewScreen,
    SessionCard,
    SessionFilter,
    SessionPage,
)

READ_AT_ONCE = 1000
DONE_SHOWN = 50
ENTRIES_AT_ONCE = 100
MOST_WORDS = 16
PART_BYTES = 1 << 16
PATIENCE_SECONDS = 0.06  # a page waits so long for its verdict, then shows it as soon as it is there


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
    return await house.record.in_reader(lambda store: fold(events_of(store, tenant, stream_of(session))))


async def _reviewed(house: House, member: Member, session: UUID) -> SessionCard | Refused:
    """Return the session's card to who may review it."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    return await card(house, member, session) or NOT_FOUND


async def _opened(house: House, member: Member, session: UUID) -> SessionCard | Refused:
    """Return the session's card; opening a review is itself an event of the audit log."""
    found = await _reviewed(house, member, session)
    if isinstance(found, Refused):
        return found
    event = e.ReviewOpened(actor=member.actor, at=STAMPED, session=session)
    return await house.journal.audit(member.tenant, event) or found


def _duration(house: House, found: SessionCard) -> int | None:
    end = found.ended_at if found.ended_at is not None else house.clock.now()
    return end - found.granted_at if found.granted_at is not None else None


async def page(house: House, member: Member, session: UUID) -> ReviewPage | Refused:
    """Return all of a session with every output, and the verdict on its record."""
    found = await _opened(house, member, session)
    if isinstance(found, Refused):
        return found
    timeline = await _timeline(house, member.tenant, session)
    return ReviewPage(
        card=found,
        notes=timeline.notes,
        checked=timeline.checked,
        duration_us=_duration(house, found),
        participants=tuple(timeline.people.values()),
        entries=tuple(timeline.entries),
        commands=len(timeline.commands),
        files=len(timeline.transfers),
        events=len(timeline.owners),
        proof=await house.verdicts.of(member.tenant, session),
    )


async def screen(house: House, member: Member, session: UUID) -> ReviewScreen | Refused:
    """Return the first screen of a review; the browser fetches the rest as it is looked at."""
    found = await _opened(house, member, session)
    if isinstance(found, Refused):
        return found
    proof = asyncio.ensure_future(house.verdicts.within(PATIENCE_SECONDS, member.tenant, session))
    outline = await house.outlines.of(member.tenant, session)
    timeline = outline.timeline
    part = _part(outline, None, EntryFilter())
    shown = next((entry for entry in part.entries if entry.command is not None), part.entries[0] if part.entries else None)
    first_at, last_at = (timeline.entries[0].at, timeline.entries[-1].at) if timeline.entries else (0, 0)
    length = max(1, last_at - first_at)
    return ReviewScreen(
        card=found,
        notes=timeline.notes,
        checked=timeline.checked,
        duration_us=_duration(house, found),
        participants=tuple(timeline.people.values()),
        first_at=first_at,
        last_at=last_at,
        marks=tuple(sorted({(one.at - first_at) * 198 // length / 2 for one in timeline.commands.values()})),
        part=part,
        first=await _detail(house, outline, outline.entry_of(shown.position)) if shown is not None else None,
        commands=len(timeline.commands),
        files=len(timeline.transfers),
        events=outline.size,
        terminal=bool(timeline.commands) or any(entry.group == "terminal" for entry in timeline.entries),
        proof=await proof,
    )


async def entries(house: House, member: Member, session: UUID, wanted: EntryFilter) -> EntryPart | Refused:
    """Return a part of the timeline."""
    found = await _reviewed(house, member, session)
    if isinstance(found, Refused):
        return found
    outline = await house.outlines.of(member.tenant, session)
    return _part(outline, await house.outlines.found(outline, tuple(wanted.q.lower().split()[:MOST_WORDS])), wanted)


def _part(outline: Outline, found: frozenset[int] | None, wanted: EntryFilter) -> EntryPart:
    groups = frozenset(wanted.groups) if wanted.groups is not None else None
    shown, every = outline.shown(groups, found), outline.timeline.entries
    start, at = wanted.start, None
    number = None
    if wanted.at is not None:
        number = bisect_left(shown, outline.entry_of(wanted.at))
    elif wanted.time is not None:
        number = bisect_left(shown, wanted.time, key=lambda index: every[index].at)
    if shown and number is not None:
        start = min(number, len(shown) - 1)
        at = every[shown[start]].position
    start = max(0, min(start, len(shown) - 1)) // ENTRIES_AT_ONCE * ENTRIES_AT_ONCE
    chosen = outline.entries(shown[start : start + ENTRIES_AT_ONCE])
    return EntryPart(entries=chosen, start=start, matches=len(shown), total=len(every), at=at)


async def detail(house: House, member: Member, session: UUID, position: int) -> EntryDetail | Refused:
    """Return the entry that shows an event, with its texts as the record holds them now."""
    found = await _reviewed(house, member, session)
    if isinstance(found, Refused):
        return found
    outline = await house.outlines.of(member.tenant, session)
    if not 0 <= position < outline.size or not outline.timeline.entries:
        return NOT_FOUND
    return await _detail(house, outline, outline.entry_of(position))


async def _detail(house: House, outline: Outline, index: int) -> EntryDetail:
    entry, same = await house.outlines.detail(outline, index)
    if not same:  # the next look at the verdict reads all of it
        house.verdicts.forget(outline.session)
        house.outlines.forget(outline.session)
    return EntryDetail(entry=entry, changed=not same)


async def verdict(house: House, member: Member, session: UUID, *, anew: bool = False) -> Proof | Refused:
    """Return the verdict on a session's record; `anew` reads and checks all of it again."""
    found = await _reviewed(house, member, session)
    if isinstance(found, Refused):
        return found
    return await (house.verdicts.anew if anew else house.verdicts.of)(member.tenant, session)


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


async def shown_card(house: House, member: Member, session: UUID) -> SessionCard | Refused:
    """Return how a session stands, to who may see sessions."""
    if (refused := refuse_unless(member, May.SEE_SESSIONS)) is not None:
        return refused
    return await card(house, member, session) or NOT_FOUND


async def ended(
    house: House, member: Member, client: UUID | None, technician: UUID | None, after: str, limit: int
) -> Page[SessionCard] | Refused:
    """Return sessions that are over, newest first."""
    if (refused := refuse_unless(member, May.SEE_SESSIONS)) is not None:
        return refused
    before = cursors.read(after, tuple[int, UUID]) if after else None
    if isinstance(before, Refused):
        return before
    await house.projector.flush()
    clients_ = member.clients if client is None else frozenset({client} if member.serves(client) else ())
    rows = await house.catalogue.sessions.ended(
        member.tenant, limit + 1, before=before, clients=clients_, technician=technician
    )
    shown = rows[:limit]
    following = cursors.write((shown[-1].ended_at, shown[-1].id)) if len(rows) > limit else ""
    return Page(tuple(card_of_row(row) for row in shown), following)


async def board(house: House, member: Member, wanted: SessionFilter) -> Board | Refused:
    """Return all sessions by where they stand."""
    if (refused := refuse_unless(member, May.SEE_SESSIONS)) is not None:
        return refused
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
    past = [card_of_row(row) for row in await house.catalogue.sessions.ended(member.tenant, DONE_SHOWN, clients=member.clients)]
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


async def recording(house: House, member: Member, session: UUID) -> AsyncIterator[bytes] | Refused:
    """Return a session's terminal as an asciicast v2, line by line."""
    found = await _reviewed(house, member, session)
    if isinstance(found, Refused):
        return found
    return _cast(house, member.tenant, session)


async def _cast(house: House, tenant: UUID, session: UUID) -> AsyncIterator[bytes]:
    made, part = Cast(), bytearray()
    async for row in rows_of(house, tenant, session):
        for line in made.take(row):
            part += line
        if len(part) > PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part) + b"".join(made.end())
