"""The index on PostgreSQL: tsvector and GIN in a schema of its own, which can be dropped while no server runs.

A line's id is tenant << 48 | session << 24 | line, numbers of this schema alone, and newer sessions lie behind older ones. GIN
knows no order: see finding.py. Several processes feed one index: the mark of a stream is compared and moved under a lock of that
stream, so that no line is there twice.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID

import psycopg
from psycopg import sql

from caisey_core.search import finding, lexemes
from caisey_core.search.finding import BITS, sessions_of, text_of
from caisey_core.search.index import About, Line, Mark, Page, Scope, SearchUnavailable, Wanted

T = TypeVar("T")
FORMAT: Final = 2
LOCKS: Final = 0x43616971  # class of our advisory locks: "Caiq"
THE_SCHEMA, THE_PURGE = 0, 1  # locks of that class; a stream's is four bytes of its session's id
MOST_LINES: Final = (1 << BITS) - 1

_SCHEMA: Final[LiteralString] = """
DROP SCHEMA IF EXISTS caisey_search CASCADE;
CREATE SCHEMA caisey_search;
SET LOCAL search_path TO caisey_search;
CREATE TABLE format (number INTEGER NOT NULL);
CREATE TABLE tenant (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant UUID NOT NULL UNIQUE);
CREATE TABLE session (number BIGINT PRIMARY KEY, session UUID NOT NULL UNIQUE, position BIGINT NOT NULL, pending BYTEA NOT NULL,
  generation BIGINT NOT NULL, lines INTEGER NOT NULL, device UUID NOT NULL, device_name TEXT NOT NULL, client UUID NOT NULL,
  client_name TEXT NOT NULL, technician_name TEXT NOT NULL, requested_at BIGINT NOT NULL, outcome TEXT COLLATE "C" NOT NULL,
  reason TEXT NOT NULL);
CREATE INDEX session_client ON session (client, number);
CREATE INDEX session_device ON session (device, number);
CREATE TABLE technician (technician UUID NOT NULL, number BIGINT NOT NULL, turn INTEGER NOT NULL,
  PRIMARY KEY (technician, number));
CREATE INDEX technician_number ON technician (number);
CREATE TABLE unpurged (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE TABLE line (id BIGINT PRIMARY KEY, position BIGINT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, words TSVECTOR NOT NULL);
CREATE INDEX line_words ON line USING gin (words) WITH (fastupdate = on, gin_pending_list_limit = 1024);
"""
# The planner knows nothing of our blocks, and would rather read a table from end to end than trust the index.
# A database can crash without the server, which would not look again at what it had added, nor erase it again: so all is durable.
_SETTINGS: Final[LiteralString] = """
SET search_path TO caisey_search; SET lock_timeout TO '10s'; SET statement_timeout TO '30s';
SET idle_in_transaction_session_timeout TO '15s'; SET client_min_messages TO warning; SET synchronous_commit TO on;
SET enable_seqscan TO off; SET jit TO off; SET work_mem TO '32MB';
"""
# An index is made anew beside the old one, and waits for whoever began before; what was given up then is left behind.
_SOMEBODY_READS: Final[LiteralString] = """
SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND backend_type = 'client backend' AND xact_start < clock_timestamp() - interval '1 second')
"""
_LEFT_BEHIND: Final[LiteralString] = """
SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = 'line'::regclass AND NOT indisvalid
"""
_Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresIndex:
    """An index in a database. Each thread has a connection, made when it is needed."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._local = threading.local()
        self._connections: list[_Connection] = []
        self._prepared = False

    # --- connections -------------------------------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[_Connection]:
        """Yield this thread's connection. Raises SearchUnavailable for all that goes wrong with the database."""
        try:
            yield self._connection()
        except psycopg.Error as error:
            raise SearchUnavailable(str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[_Connection]:
        with self._connected() as connection, connection.transaction():
            yield connection

    def _reading(self, read: Callable[[_Connection], T]) -> T:
        """Read; a connection that was lost since its last use is replaced."""
        known: _Connection | None = getattr(self._local, "connection", None)
        with self._connected() as connection:
            try:
                return read(connection)
            except psycopg.OperationalError:
                if connection is not known or not connection.broken:
                    raise
            return read(self._connection())

    def _connection(self) -> _Connection:
        known: _Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            if not known.closed:
                return known
            known.close()
            self._connections.remove(known)
            self._local.connection = None
        fresh: _Connection = psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=15000,
            application_name="caisey search",
            prepare_threshold=None,  # which range is looked at decides the plan
        )
        try:
            if not self._prepared:
                _prepare(fresh)
                self._prepared = True
            fresh.execute(_SETTINGS)
        except BaseException:
            fresh.close()
            raise
        self._local.connection = fresh
        self._connections.append(fresh)
        return fresh

    # --- filling -----------------------------------------------------------------------------------------------------

    def marks(self, tenant: UUID) -> dict[UUID, Mark]:
        """Return how far each session is indexed."""
        query: LiteralString = "SELECT session, position, pending, generation FROM session WHERE number BETWEEN %s AND %s"
        rows = self._reading(lambda read: read.execute(query, sessions_of(read, tenant)).fetchall())
        return {row[0]: Mark(*row[1:]) for row in rows}

    def mark(self, tenant: UUID, session: UUID) -> Mark:
        """Return how far one session is indexed."""
        query: LiteralString = "SELECT position, pending, generation FROM session WHERE session=%s AND number BETWEEN %s AND %s"
        row = self._reading(lambda read: read.execute(query, (session, *sessions_of(read, tenant))).fetchone())
        return Mark() if row is None else Mark(*row)

    def add(self, tenant: UUID, session: UUID, about: About, lines: Sequence[Line], before: Mark, after: Mark) -> bool:
        """Add lines and move the mark, all or nothing."""
        with self._writing() as write:
            _lock_stream(write, session)
            row = write.execute(
                "SELECT number, position, generation, lines FROM session WHERE session=%s", (session,)
            ).fetchone()
            number, position, generation, count = row if row is not None else (_new_number(write, tenant), 0, 0, 0)
            if (position, generation) != (before.position, before.generation):
                return False
            room = lines[: max(0, MOST_LINES - count)]
            write.execute(
                "INSERT INTO session VALUES (%s,%s,%s,%b,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) ON CONFLICT (number) DO UPDATE SET "
                "position=excluded.position, pending=excluded.pending, lines=excluded.lines, device=excluded.device, "
                "device_name=excluded.device_name, client=excluded.client, client_name=excluded.client_name, "
                "technician_name=excluded.technician_name, requested_at=excluded.requested_at, outcome=excluded.outcome, "
                "reason=excluded.reason",
                (
                    number, session, after.position, after.pending, generation, count + len(room), about.device,
                    text_of(about.device_name), about.client, text_of(about.client_name), text_of(about.technician_name),
                    about.requested_at, about.outcome, text_of(about.reason),
                ),
            )  # fmt: skip
            write.execute(
                "INSERT INTO technician SELECT one, %s, turn - 1 FROM unnest(%s::uuid[]) WITH ORDINALITY AS who (one, turn) "
                "ON CONFLICT DO NOTHING",
                (number, list(about.technicians)),
            )
            base = (number << BITS) + count
            with write.cursor().copy("COPY line (id, position, kind, text, words) FROM STDIN") as copy:
                for at, line in enumerate(room):
                    text = text_of(line.text)
                    copy.write_row((base + at, line.position, line.kind, text, lexemes.vector(text, number)))
        return True

    def forget(self, tenant: UUID, session: UUID) -> None:
        """Destroy the session's lines; `purge` lets PostgreSQL clear the rows that held them."""
        with self._writing() as write:
            _lock_stream(write, session)
            row = write.execute(
                "UPDATE session SET position=0, pending='', generation=generation+1, lines=0, reason='' "
                "WHERE session=%s AND number BETWEEN %s AND %s RETURNING number",
                (session, *sessions_of(write, tenant)),
            ).fetchone()
            if row is not None:
                write.execute("DELETE FROM line WHERE id BETWEEN %s AND %s", (row[0] << BITS, (row[0] + 1 << BITS) - 1))
                write.execute("INSERT INTO unpurged DEFAULT VALUES")

    def purge(self) -> bool:
        """Clear the rows of what was forgotten, and the words that only they had; False while a transaction may still see them."""
        with self._connected() as connection:
            if connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCKS, THE_PURGE)).fetchone() != (True,):
                return False
            try:
                forgotten = [one for (one,) in connection.execute("SELECT id FROM unpurged")]
                if not forgotten:
                    return True
                connection.execute("SET statement_timeout TO 0")
                connection.execute("VACUUM line")
                connection.execute("VACUUM session")
                if connection.execute("SELECT pg_stat_get_dead_tuples('line'::regclass)").fetchone() != (0,):
                    return False
                if connection.execute(_SOMEBODY_READS).fetchone() == (True,):
                    return False
                for (left,) in connection.execute(_LEFT_BEHIND).fetchall():
                    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(left)))
                connection.execute("REINDEX INDEX CONCURRENTLY line_words")  # GIN keeps words that no row has any more
                connection.execute("DELETE FROM unpurged WHERE id = ANY(%s::bigint[])", (forgotten,))
            finally:
                if not connection.broken:
                    connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, THE_PURGE))
                    connection.execute("SET statement_timeout TO '30s'")
        return True

    # --- finding -----------------------------------------------------------------------------------------------------

    def find(self, scope: Scope, wanted: Wanted) -> Page:
        """Return a page of sessions within the scope, newest first."""
        return self._reading(lambda read: finding.find(read, scope, wanted))

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            with suppress(psycopg.Error):
                connection.close()
        self._connections.clear()


def _prepare(connection: _Connection) -> None:
    """Begin the schema where it is missing or of another format: the record has all of it. Processes that start at once wait."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, THE_SCHEMA))
        begun = connection.execute("SELECT to_regclass('caisey_search.format')").fetchone() != (None,)
        if begun and connection.execute("SELECT number FROM caisey_search.format").fetchone() == (FORMAT,):
            return
        connection.execute(_SCHEMA)
        connection.execute("INSERT INTO format VALUES (%s)", (FORMAT,))


def _lock_stream(write: _Connection, session: UUID) -> None:
    """Until the end of the transaction nobody else adds to this session's lines or forgets them."""
    key = int.from_bytes(session.bytes[-4:], "big", signed=True)
    write.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, key))


def _new_number(write: _Connection, tenant: UUID) -> int:
    """Return the next number of a session; whoever else begins one for this tenant waits until the end of the transaction."""
    owner: LiteralString = "SELECT number FROM tenant WHERE tenant=%s FOR UPDATE"
    row = write.execute(owner, (tenant,)).fetchone()
    if row is None:  # each try to insert uses up a number, so it is not tried each time
        write.execute("INSERT INTO tenant (tenant) VALUES (%s) ON CONFLICT DO NOTHING", (tenant,))
        row = write.execute(owner, (tenant,)).fetchone()
        assert row is not None
    low = row[0] << BITS
    last = write.execute("SELECT max(number) FROM session WHERE number BETWEEN %s AND %s", (low, low + MOST_LINES)).fetchone()
    return low if last is None or last[0] is None else int(last[0]) + 1
