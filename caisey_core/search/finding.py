"""Finding on PostgreSQL. GIN knows no order: the newest hits are looked for in ranges of sessions, from the newest down.

The next range is as large as the hits in the last one let expect, so that neither a word that is everywhere nor one that is
nowhere costs much. What filters leave is looked at by name where it is not much.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString
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


def find(read: Connection, scope: Scope, wanted: Wanted) -> Page:
    """Return a page of sessions within the scope, newest first."""
    low, high = sessions_of(read, scope.tenant)
    if wanted.before is not None:
        high = min(high, wanted.before - 1)
    where, values = _filters(scope, wanted)
    query: LiteralString = f"SELECT number FROM session WHERE number BETWEEN %s AND %s{where} ORDER BY number DESC LIMIT %s"  # noqa: S608 - values are bound
    if not wanted.words:
        numbers = [row[0] for row in read.execute(query, (low, high, *values, PAGE + 1))]
        return Page(_found(read, wanted, numbers[:PAGE]), numbers[PAGE - 1] if len(numbers) > PAGE else None)
    if where:
        few = [row[0] for row in read.execute(query, (low, high, *values, MOST_PROBES + 1))]
        if len(few) <= MOST_PROBES:
            return _among(read, wanted, few)
    return _down(read, wanted, low, high + 1, where, values)


def _among(read: Connection, wanted: Wanted, few: list[int]) -> Page:
    """Look at these sessions, which the filters left."""
    found: list[int] = []
    for at in range(0, len(few), FEW):
        found += [number for number, _, _ in _hits(read, wanted, map(lexemes.only, few[at : at + FEW]))]
        if len(found) >= PAGE:
            return Page(_found(read, wanted, found[:PAGE]), found[PAGE - 1])
    return Page(_found(read, wanted, found), None)


def _down(read: Connection, wanted: Wanted, low: int, high: int, where: LiteralString, values: list[Any]) -> Page:
    """Look at ranges of sessions, from the newest down, until the page is full or it was enough."""
    row = read.execute("SELECT max(number) FROM session WHERE number BETWEEN %s AND %s", (low, high - 1)).fetchone()
    high = row[0] + 1 if row is not None and row[0] is not None else low
    found, probes, size = list[int](), 0, FIRST_RANGE
    while high > low:
        block = max(1 << level for level in lexemes.LEVELS if 1 << level <= size)
        down = max(low, (high - size) // block * block)
        hits = _hits(read, wanted, lexemes.between(down, high), where, values)
        found += [number for number, _, fits in hits if fits]
        if len(found) >= PAGE:
            return Page(_found(read, wanted, found[:PAGE]), found[PAGE - 1])
        probes += len(hits)
        if probes >= MOST_PROBES and down > low:
            return Page(_found(read, wanted, found), down, hits[-1][1])
        size = max(FIRST_RANGE, min(size * FARTHER, (high - down) * EXPECTED // max(1, len(hits))))
        high = down
    return Page(_found(read, wanted, found), None)


def _hits(
    read: Connection, wanted: Wanted, blocks: Iterator[str], where: LiteralString = "", values: Sequence[Any] = ()
) -> list[tuple[int, int, bool]]:
    """Return the sessions of these blocks that have a hit, newest first: number, time, and whether the filters leave it."""
    query: LiteralString = (
        "WITH hit AS MATERIALIZED (SELECT DISTINCT id >> 24 AS number FROM line WHERE words @@ %s::tsquery) "  # noqa: S608 - values are bound
        f"SELECT number, requested_at, true{where} FROM hit JOIN session USING (number) ORDER BY number DESC"
    )
    return read.execute(query, (lexemes.query(wanted.words, blocks), *values)).fetchall()


def _found(read: Connection, wanted: Wanted, numbers: list[int]) -> tuple[Found, ...]:
    """Return what is shown of sessions, in this order. One that was forgotten meanwhile is left out."""
    lines: dict[int, list[Line]] = {number: [] for number in numbers}
    if wanted.words:
        # "+ 0": in the order of the hits, not by reading all lines in order until there are enough hits
        rows = read.execute(
            "SELECT number, position, kind, text FROM unnest(%s::bigint[], %s::text[]) AS asked (number, query) CROSS JOIN LATERAL "
            "(SELECT * FROM line WHERE words @@ query::tsquery ORDER BY id + 0 LIMIT %s) AS hit ORDER BY id",
            (numbers, [lexemes.query(wanted.words, [lexemes.only(number)]) for number in numbers], LINES_SHOWN + 1),
        )
        for number, *line in rows:
            lines[number].append(Line(*line))
    query: LiteralString = (
        "SELECT number, session, device, device_name, client, client_name, "
        "ARRAY(SELECT technician FROM technician WHERE technician.number = session.number ORDER BY turn), "
        "technician_name, requested_at, outcome, reason FROM session WHERE number = ANY(%s::bigint[]) ORDER BY number DESC"
    )
    found = []
    for number, session, device, device_name, client, client_name, turns, name, at, outcome, reason in read.execute(
        query, (numbers,)
    ):
        if lines[number] or not wanted.words:
            about = About(
                device=device,
                device_name=device_name,
                client=client,
                client_name=client_name,
                technicians=tuple(turns),
                technician_name=name,
                requested_at=at,
                outcome=outcome,
                reason=reason,
            )
            found.append(Found(session, about, tuple(lines[number][:LINES_SHOWN]), len(lines[number]) > LINES_SHOWN))
    return tuple(found)


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
