"""Search over the records of all sessions: by what was run and what came out, by device, client, technician, day and outcome."""

from datetime import UTC, date, datetime, timedelta

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.search.index import Found, Line, Scope, SearchUnavailable, Wanted
from caisey_core.search.words import Word, parse, spans
from caisey_core.services import clients, members
from caisey_core.services.house import House
from caisey_core.services.views import FoundLine, FoundSession, RecordFilter, RecordsPage

AROUND = 90  # characters shown before the first hit of a line
SHOWN = 260  # of a line altogether
UNAVAILABLE = Refused(
    "The search index cannot be read now.",
    "Try again in a moment. The records themselves are not concerned.",
    503,
    retry_after_seconds=5,
)


async def page(house: House, member: Member, wanted: RecordFilter) -> RecordsPage | Refused:
    """Return the sessions that fit, newest first, within the member's reach."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    words = parse(wanted.q)
    asked = Wanted(
        words=words,
        device=wanted.device,
        client=wanted.client,
        technician=wanted.technician,
        since=_begin(wanted.since) if wanted.since is not None else None,
        until=_begin(wanted.until + timedelta(days=1)) if wanted.until is not None and wanted.until < date.max else None,
        outcome=wanted.outcome,
        before=wanted.before,
    )
    nothing = asked == Wanted(before=wanted.before)
    try:
        found = await house.indexer.ask(
            lambda index: None if nothing else index.find(Scope(member.tenant, member.clients), asked)
        )
    except SearchUnavailable:
        return UNAVAILABLE
    device = house.live.roster.get(member.tenant, wanted.device) if wanted.device is not None else None
    return RecordsPage(
        filter=wanted,
        found=tuple(_session(one, words) for one in found.found) if found is not None else (),
        next=found.next if found is not None else None,
        to=found.to if found is not None else None,
        left=house.indexer.left if house.indexer.left is not None else 1,
        nothing_asked=nothing,
        device_name=device.name if device is not None and member.serves(device.client) else "",
        clients=await clients.choices(house, member),
        technicians=await members.technicians(house, member),
    )


def _begin(day: date) -> int:
    """Return the first microsecond of a day, UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _session(found: Found, words: tuple[Word, ...]) -> FoundSession:
    about = found.about
    return FoundSession(
        session=found.session,
        device=about.device,
        device_name=about.device_name,
        client_name=about.client_name,
        technician_name=about.technician_name,
        requested_at=about.requested_at,
        outcome=about.outcome,  # type: ignore[arg-type]
        reason=about.reason,
        lines=tuple(_line(line, words) for line in found.lines),
        more=found.more,
    )


def _line(line: Line, words: tuple[Word, ...]) -> FoundLine:
    """Cut a line to what stands around its first hit, and mark the hits."""
    hits = spans(line.text, words)
    start = max(0, hits[0][0] - AROUND) if hits and hits[0][0] > AROUND else 0
    end = min(len(line.text), start + SHOWN)
    pieces, at = [], start
    for begin, stop in hits:
        if at <= begin < end:
            pieces += [line.text[at:begin], line.text[begin : min(stop, end)]]
            at = min(stop, end)
    pieces.append(line.text[at:end])
    if start:
        pieces[0] = "…" + pieces[0]
    if end < len(line.text):
        pieces[-1] += "…"
    return FoundLine(position=line.position, kind=line.kind, pieces=tuple(pieces))
