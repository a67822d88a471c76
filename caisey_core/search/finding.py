"""Finding on PostgreSQL. GIN knows no order: the newest hits are looked for in ranges of sessions, from the newest down.

The next range is as large as the hits in the last one let expect, so that neither a word that is everywhere nor one that is
nowhere costs much. What filters leave is looked at by name where it is not much.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from caisey_core.search import lexemes
from caisey_core.search.index import LINES_SHOWN, PAGE, About, Found, Line, Page, Scope, Wanted

BITS: Final = 24  # of a session within its tenant, and of a line within its session
MOST_PROBES: Final = 600  # sessions with hits that one page looks at
FEW: Final = 40  # sessions that one statement looks at by name
FIRST_RANGE: Final = 32  # sessions
FARTHER: Final = 8  # times the last range, at most
EXPECTED: Final = 40  # sessions with hits that the next range should have

Connection = psycopg.Connection[tuple[Any, ...]]


def sessions_of(read: Connection, tenant: UUID) -> tuple[int, int]:
    """Return the range of the tenant's session numbers; an empty one for a tenant without any."""
    row = read.execute("SELECT number FROM tenant WHERE tenant=%s", (tenant,)).fetchone()
    return (0, -1) if row is None else (row[0] << BITS, (row[0] + 1 << BITS) - 1)


class _Hit(NamedTuple):
    """A session with hits, the first of its lines that have one, and whether the filters leave it."""

    number: int
    lines: list[int]
    requested_at: int
    fits: bool


def find(read: Connection, scope: Scope, wanted: Wanted) -> Page:
    """Return a page of sessions within the scope, newest first."""
    low, high = sessions_of(read, scope.tenant)
    if wanted.before is not None:
        high = min(high, wanted.before - 1)
    where, values = _filters(scope, wanted)
    query: LiteralString = f"SELECT number FROM session WHERE number BETWEEN %s AND %s{where} ORDER BY number DESC LIMIT %s"  # noqa: S608 - values are bound
    if not wanted.words:
        numbers = [row[0] for row in read.execute(query, (low, high, *values, PAGE + 1))]
        return Page(_found(read, {number: [] for number in numbers[:PAGE]}), numbers[PAGE - 1] if len(numbers) > PAGE else None)
    if where:
        few = [row[0] for row in read.execute(query, (low, high, *values, MOST_PROBES + 1))]
        if len(few) <= MOST_PROBES:
            return _among(read, wanted, few)
    return _down(read, wanted, low, high + 1, where, values)


def _among(read: Connection, wanted: Wanted, few: list[int]) -> Page:
    """Look at these sessions, which the filters left."""
    found: list[_Hit] = []
    for at in range(0, len(few), FEW):
        found += _hits(read, wanted, map(lexemes.only, few[at : at + FEW]))
        if len(found) >= PAGE:
            return _full(read, found)
    return Page(_with_lines(read, found), None)


def _down(read: Connection, wanted: Wanted, low: int, high: int, where: LiteralString, values: list[Any]) -> Page:
    """Look at ranges of sessions, from the newest down, until the page is full or it was enough."""
    row = read.execute("SELECT max(number) FROM session WHERE number BETWEEN %s AND %s", (low, high - 1)).fetchone()
    high = row[0] + 1 if row is not None and row[0] is not None else low
    found, probes, size = list[_Hit](), 0, FIRST_RANGE
    while high > low:
        block = max(1 << level for level in lexemes.LEVELS if 1 << level <= size)
        down = max(low, (high - size) // block * block)
        hits = _hits(read, wanted, lexemes.between(down, high), where, values)
        found += [hit for hit in hits if hit.fits]
        if len(found) >= PAGE:
            return _full(read, found)
        probes += len(hits)
        if probes >= MOST_PROBES and down > low:
            return Page(_with_lines(read, found), down, hits[-1].requested_at)
        size = max(FIRST_RANGE, min(size * FARTHER, (high - down) * EXPECTED // max(1, len(hits))))
        high = down
    return Page(_with_lines(read, found), None)


def _full(read: Connection, found: list[_Hit]) -> Page:
    return Page(_with_lines(read, found[:PAGE]), found[PAGE - 1].number)


def _hits(
    read: Connection, wanted: Wanted, blocks: Iterator[str], where: LiteralString = "", values: Sequence[Any] = ()
) -> list[_Hit]:
    """Return the sessions of these blocks that have a hit, newest first."""
    query: LiteralString = (
        "WITH hit AS MATERIALIZED (SELECT id >> 24 AS number, (array_agg(id ORDER BY id))[:%s] AS first FROM line "  # noqa: S608 - values are bound
        "WHERE words @@ %s::tsquery GROUP BY 1) "
        f"SELECT number, first, requested_at, true{where} FROM hit JOIN session USING (number) ORDER BY number DESC"
    )
    return [_Hit(*row) for row in read.execute(query, (LINES_SHOWN + 1, lexemes.query(wanted.words, blocks), *values))]


def _with_lines(read: Connection, hits: list[_Hit]) -> tuple[Found, ...]:
    lines: dict[int, list[Line]] = {hit.number: [] for hit in hits}
    ids = [line for hit in hits for line in hit.lines]
    query: LiteralString = "SELECT id, position, kind, text FROM line WHERE id = ANY(%s::bigint[]) ORDER BY id"
    for identity, *line in read.execute(query, (ids,)):
        lines[identity >> BITS].append(Line(*line))
    return _found(read, {number: some for number, some in lines.items() if some})  # without: forgotten meanwhile


def _found(read: Connection, lines: dict[int, list[Line]]) -> tuple[Found, ...]:
    """Return what is shown of sessions, newest first, with the first of their lines."""
    query: LiteralString = (
        "SELECT number, session, device, device_name, client, client_name, "
        "ARRAY(SELECT technician FROM technician WHERE technician.number = session.number ORDER BY turn), "
        "technician_name, requested_at, outcome, reason FROM session WHERE number = ANY(%s::bigint[]) ORDER BY number DESC"
    )
    return tuple(
        Found(
            session,
            About(
                device=device,
                device_name=device_name,
                client=client,
                client_name=client_name,
                technicians=tuple(technicians),
                technician_name=technician_name,
                requested_at=requested_at,
                outcome=outcome,
                reason=reason,
            ),
            tuple(lines[number][:LINES_SHOWN]),
            len(lines[number]) > LINES_SHOWN,
        )
        for number, session, device, device_name, client, client_name, technicians, technician_name, requested_at, outcome, reason
        in read.execute(query, (list(lines),))
    )  # fmt: skip


def _filters(scope: Scope, wanted: Wanted) -> tuple[LiteralString, list[Any]]:
    """Return the conditions on sessions: the scope's, then those that were chosen."""
    where: LiteralString = ""
    values: list[Any] = []
    conditions: tuple[tuple[LiteralString, Any], ...] = (
        ("client = ANY(%s::uuid[])", list(scope.clients) if scope.clients is not None else None),
        ("device = %s", wanted.device),
        ("client = %s", wanted.client),
        ("number IN (SELECT number FROM technician WHERE technician = %s)", wanted.technician),
        ("requested_at >= %s", wanted.since),
        ("requested_at < %s", wanted.until),
        ("outcome = %s", text_of(wanted.outcome) or None),
    )
    for condition, value in conditions:
        if value is not None:
            where, values = f"{where} AND {condition}", [*values, value]
    return where, values


def text_of(text: str) -> str:
    """PostgreSQL keeps no NUL in a text; it is shown by its sign, as in the catalogue."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")
