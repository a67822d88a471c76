"""The index on SQLite: FTS5 in its own file `search.db`, which can be deleted at any time.

A line's row id is tenant << 48 | session << 24 | line, numbers of this file alone: a tenant's lines are one range of row ids, a
session's lines are one within it, and newer sessions lie behind older ones. So FTS5 itself keeps tenants apart, and the newest
session with a hit is one descending step, however many hits there are.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

from caisey_core.search.index import LINES_SHOWN, PAGE, About, Found, Line, Mark, Page, Scope, SearchUnavailable, Wanted
from caisey_core.search.words import Word

APPLICATION_ID: Final = 0x43616971  # "Caiq"
FORMAT: Final = 3
BITS: Final = 24  # of a session within its tenant, and of a line within its session
MOST_LINES: Final = (1 << BITS) - 1
MOST_PROBES: Final = 600  # sessions that one page looks at; about 0.05 ms each

_SCHEMA: Final = """
CREATE TABLE tenant (number INTEGER PRIMARY KEY, tenant BLOB NOT NULL UNIQUE);
CREATE TABLE session (number INTEGER PRIMARY KEY, session BLOB NOT NULL UNIQUE, position INTEGER NOT NULL, pending BLOB NOT NULL,
  generation INTEGER NOT NULL, lines INTEGER NOT NULL, device BLOB NOT NULL, device_name TEXT NOT NULL, client BLOB NOT NULL,
  client_name TEXT NOT NULL, technician_name TEXT NOT NULL, requested_at INTEGER NOT NULL, outcome TEXT NOT NULL,
  reason TEXT NOT NULL);
CREATE INDEX session_client ON session (client, number);
CREATE INDEX session_device ON session (device, number);
CREATE TABLE technician (technician BLOB NOT NULL, number INTEGER NOT NULL, turn INTEGER NOT NULL,
  PRIMARY KEY (technician, number)) WITHOUT ROWID;
CREATE INDEX technician_number ON technician (number);
CREATE TABLE unpurged (id INTEGER PRIMARY KEY);
CREATE VIRTUAL TABLE line USING fts5 (text, position UNINDEXED, kind UNINDEXED, columnsize=0, prefix='1 2 3 4',
  tokenize="unicode61 remove_diacritics 2");
"""
_ABOUT: Final = "number, session, device, device_name, client, client_name, technician_name, requested_at, outcome, reason"


class SqliteIndex:
    """An index file. One connection writes; each reading thread has its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._writer = self._open()

    def _open(self) -> sqlite3.Connection:
        """Open the file; one that is damaged, foreign or of another format is begun anew: the record has all of it."""
        try:
            connection = self._connect()
            ours = connection.execute("PRAGMA application_id").fetchone() + connection.execute("PRAGMA user_version").fetchone()
            if ours == (APPLICATION_ID, FORMAT):
                connection.execute("SELECT count(*) FROM tenant").fetchone()
                return connection
            connection.close()
        except sqlite3.DatabaseError:
            pass
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        connection = self._connect()
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={FORMAT};COMMIT;")
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
        connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes is read from the record again
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA cache_size=-32000")
        return connection

    @property
    def _reader(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._connect()
            found.execute("PRAGMA query_only=ON")
            self._readers.append(found)
        return found

    @contextlib.contextmanager
    def _writing(self, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> Iterator[sqlite3.Connection]:
        try:
            self._writer.execute(f"PRAGMA synchronous={synchronous}")
            self._writer.execute("BEGIN IMMEDIATE")
            yield self._writer
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
            raise SearchUnavailable(str(error)) from error

    # --- filling -----------------------------------------------------------------------------------------------------

    def marks(self, tenant: UUID) -> dict[UUID, Mark]:
        """Return how far each session is indexed."""
        low, high = self._sessions_of(tenant)
        query = "SELECT session, position, pending, generation FROM session WHERE number BETWEEN ? AND ?"
        return {UUID(bytes=row[0]): Mark(*row[1:]) for row in self._reader.execute(query, (low, high))}

    def mark(self, tenant: UUID, session: UUID) -> Mark:
        """Return how far one session is indexed."""
        query = "SELECT position, pending, generation FROM session WHERE session=? AND number BETWEEN ? AND ?"
        row = self._reader.execute(query, (session.bytes, *self._sessions_of(tenant))).fetchone()
        return Mark() if row is None else Mark(*row)

    def _sessions_of(self, tenant: UUID) -> tuple[int, int]:
        """Return the range of the tenant's session numbers; an empty one for a tenant without any."""
        row = self._reader.execute("SELECT number FROM tenant WHERE tenant=?", (tenant.bytes,)).fetchone()
        return (0, -1) if row is None else (row[0] << BITS, (row[0] + 1 << BITS) - 1)

    def add(self, tenant: UUID, session: UUID, about: About, lines: Sequence[Line], before: Mark, after: Mark) -> bool:
        """Add lines and move the mark, all or nothing."""
        with self._writing() as write:
            row = write.execute(
                "SELECT number, position, generation, lines FROM session WHERE session=?", (session.bytes,)
            ).fetchone()
            number, position, generation, count = row if row is not None else (self._new_number(write, tenant), 0, 0, 0)
            if (position, generation) != (before.position, before.generation):
                return False
            room = lines[: max(0, MOST_LINES - count)]
            write.execute(
                "INSERT INTO session VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (number) DO UPDATE SET "
                "position=excluded.position, pending=excluded.pending, lines=excluded.lines, device=excluded.device, "
                "device_name=excluded.device_name, client=excluded.client, client_name=excluded.client_name, "
                "technician_name=excluded.technician_name, requested_at=excluded.requested_at, outcome=excluded.outcome, "
                "reason=excluded.reason",
                (
                    number, session.bytes, after.position, after.pending, generation, count + len(room), about.device.bytes,
                    about.device_name, about.client.bytes, about.client_name, about.technician_name, about.requested_at,
                    about.outcome, about.reason,
                ),
            )  # fmt: skip
            write.executemany(
                "INSERT INTO technician VALUES (?,?,?) ON CONFLICT DO NOTHING",
                ((one.bytes, number, turn) for turn, one in enumerate(about.technicians)),
            )
            base = (number << BITS) + count
            write.executemany(
                "INSERT INTO line (rowid, text, position, kind) VALUES (?,?,?,?)",
                ((base + at, line.text, line.position, line.kind) for at, line in enumerate(room)),
            )
        return True

    @staticmethod
    def _new_number(write: sqlite3.Connection, tenant: UUID) -> int:
        write.execute("INSERT INTO tenant (tenant) VALUES (?) ON CONFLICT DO NOTHING", (tenant.bytes,))
        (owner,) = write.execute("SELECT number FROM tenant WHERE tenant=?", (tenant.bytes,)).fetchone()
        low, high = owner << BITS, (owner + 1 << BITS) - 1
        (last,) = write.execute("SELECT max(number) FROM session WHERE number BETWEEN ? AND ?", (low, high)).fetchone()
        return low if last is None else int(last) + 1

    def forget(self, tenant: UUID, session: UUID) -> None:
        """Destroy the session's lines; `purge` takes them out of the files."""
        low, high = self._sessions_of(tenant)
        with self._writing("FULL") as write:  # nobody asks for it a second time
            row = write.execute(
                "SELECT number FROM session WHERE session=? AND number BETWEEN ? AND ?", (session.bytes, low, high)
            ).fetchone()
            if row is None:
                return
            write.execute("DELETE FROM line WHERE rowid BETWEEN ? AND ?", (row[0] << BITS, (row[0] + 1 << BITS) - 1))
            write.execute(
                "UPDATE session SET position=0, pending=x'', generation=generation+1, lines=0, reason='' WHERE number=?", row
            )
            write.execute("INSERT INTO unpurged DEFAULT VALUES")

    def purge(self) -> bool:
        """Take out of the files what was forgotten; False where somebody still reads there."""
        try:
            if self._writer.execute("SELECT 1 FROM unpurged").fetchone() is None:
                return True
            self._writer.execute(
                "INSERT INTO line (line) VALUES ('optimize')"
            )  # terms of deleted rows stay until segments merge
            (busy, _, _) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                self._writer.execute("DELETE FROM unpurged")
        except sqlite3.Error as error:
            raise SearchUnavailable(str(error)) from error
        return not busy

    # --- finding -----------------------------------------------------------------------------------------------------

    def find(self, scope: Scope, wanted: Wanted) -> Page:
        """Return a page of sessions within the scope, newest first."""
        try:
            return self._find(scope, wanted)
        except sqlite3.Error as error:
            raise SearchUnavailable(str(error)) from error

    def _find(self, scope: Scope, wanted: Wanted) -> Page:
        low, high = self._sessions_of(scope.tenant)
        if wanted.before is not None:
            high = min(high, wanted.before - 1)
        where, values = _filters(scope, wanted)
        if not wanted.words:
            query = f"SELECT number FROM session WHERE number BETWEEN ? AND ?{where} ORDER BY number DESC LIMIT ?"  # noqa: S608 - values are bound
            numbers = [row[0] for row in self._reader.execute(query, (low, high, *values, PAGE + 1))]
            found = [self._found(number, []) for number in numbers[:PAGE]]
            return Page(tuple(found), numbers[PAGE - 1] if len(numbers) > PAGE else None)
        match = _expression(wanted.words)
        found, probes, number = [], 0, high + 1
        for probes, (number, fits) in enumerate(self._candidates(match, low, high, where, values), 1):
            lines = self._lines(match, number) if fits else []
            if lines:
                found.append(self._found(number, lines))
            if len(found) == PAGE:
                return Page(tuple(found), number)
            if probes == MOST_PROBES:
                (at,) = self._reader.execute("SELECT requested_at FROM session WHERE number=?", (number,)).fetchone()
                return Page(tuple(found), number, at)
        return Page(tuple(found), None)

    def _candidates(self, match: str, low: int, high: int, where: str, values: list[Any]) -> Iterator[tuple[int, bool]]:
        """Yield sessions, newest first, and whether the filters leave them: few that they leave, or all that have a hit."""
        if where:
            query = f"SELECT number FROM session WHERE number BETWEEN ? AND ?{where} ORDER BY number DESC LIMIT ?"  # noqa: S608 - values are bound
            few = [row[0] for row in self._reader.execute(query, (low, high, *values, MOST_PROBES + 1))]
            if len(few) <= MOST_PROBES:
                yield from ((number, True) for number in few)
                return
        fits = f"SELECT 1 FROM session WHERE number=?{where}"  # noqa: S608 - values are bound
        newest = "SELECT rowid FROM line WHERE line MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT 1"
        while high >= low:
            row = self._reader.execute(newest, (match, low << BITS, (high + 1 << BITS) - 1)).fetchone()
            if row is None:
                return
            number = row[0] >> BITS
            yield number, not where or self._reader.execute(fits, (number, *values)).fetchone() is not None
            high = number - 1

    def _lines(self, match: str, number: int) -> list[Line]:
        query = "SELECT position, kind, text FROM line WHERE line MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid LIMIT ?"
        rows = self._reader.execute(query, (match, number << BITS, (number + 1 << BITS) - 1, LINES_SHOWN + 1))
        return [Line(*row) for row in rows]

    def _found(self, number: int, lines: list[Line]) -> Found:
        row = self._reader.execute(f"SELECT {_ABOUT} FROM session WHERE number=?", (number,)).fetchone()  # noqa: S608 - our own names
        turns = self._reader.execute("SELECT technician FROM technician WHERE number=? ORDER BY turn", (number,))
        _, session, device, device_name, client, client_name, technician_name, requested_at, outcome, reason = row
        about = About(
            device=UUID(bytes=device),
            device_name=device_name,
            client=UUID(bytes=client),
            client_name=client_name,
            technicians=tuple(UUID(bytes=one) for (one,) in turns),
            technician_name=technician_name,
            requested_at=requested_at,
            outcome=outcome,
            reason=reason,
        )
        return Found(UUID(bytes=session), about, tuple(lines[:LINES_SHOWN]), len(lines) > LINES_SHOWN)

    def close(self) -> None:
        """Close all connections."""
        for reader in self._readers:
            reader.close()
        self._writer.close()


def _filters(scope: Scope, wanted: Wanted) -> tuple[str, list[Any]]:
    """Return the conditions on sessions: the scope's, then those that were chosen."""
    where, values = "", list[Any]()
    if scope.clients is not None:
        where += f" AND client IN ({','.join('?' * len(scope.clients))})"
        values += [client.bytes for client in scope.clients]
    for column, value in (("device", wanted.device), ("client", wanted.client)):
        if value is not None:
            where, values = f"{where} AND {column}=?", [*values, value.bytes]
    if wanted.technician is not None:
        where += " AND number IN (SELECT number FROM technician WHERE technician=?)"
        values.append(wanted.technician.bytes)
    for condition, limit in (
        ("requested_at>=?", wanted.since),
        ("requested_at<?", wanted.until),
        ("outcome=?", wanted.outcome),
    ):
        if limit not in (None, ""):
            where, values = f"{where} AND {condition}", [*values, limit]
    return where, values


def _expression(words: Sequence[Word]) -> str:
    """Return the words as an FTS5 expression; tokens are letters and digits, and quoted."""
    return " AND ".join(f'"{" ".join(word.tokens)}"{" *" if word.prefix else ""}' for word in words)
