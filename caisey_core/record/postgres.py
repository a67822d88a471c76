"""The record on PostgreSQL: the tables of the SQLite file in a schema of their own, COPY, one transaction for each commit.

A commit locks the rows of the tenants' log heads, in their order, so that several processes can write. Its round trips: the lock;
new streams, if any; COPY, if the events are not few; all the rest with COMMIT. What PostgreSQL acknowledges is on its disk: a server that
runs without fsync is refused, and synchronous_commit is on for the writer whatever the server's default is. A connection that
is lost in the middle of a commit is a failed commit; `recover` waits for the lock, so that it sees whether it went through.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from caisey_core.record.postgres_reading import PostgresReading
from caisey_core.record.postgres_schema import (
    FORMAT,
    Connection,
    connect,
    make_schema,
    refuse_unless_empty,
    refuse_unless_ours,
)
from caisey_core.record.rows import ERASE_AT_ONCE, Row, erased_by, rows_of
from caisey_core.record.store import (
    POSITIONS,
    Displaced,
    LogHead,
    LogWrite,
    Prepare,
    StoreTrouble,
    StreamHead,
    StreamWrite,
    TenantKey,
    UnknownTenant,
)

WRITERS: Final = 0x43616973  # class of the advisory locks that writing processes hold: "Cais"
COPY_FROM: Final = 8  # events; fewer travel with the other statements, in one round trip less

_SETTINGS: Final[LiteralString] = """
SET search_path TO caisey_record; SET lock_timeout TO '10s'; SET idle_in_transaction_session_timeout TO '15s';
SET client_min_messages TO warning;
"""


class PostgresStore(PostgresReading):
    """A record in a database. One connection writes; each reading thread has its own."""

    failures: tuple[type[Exception], ...] = (psycopg.Error, StoreTrouble)

    def __init__(self, address: str) -> None:
        """Use `create` or `open`."""
        self._address = address
        self._local = threading.local()
        self._readers: list[Connection] = []
        self._ids: dict[tuple[UUID, str], int] = {}
        self._number: int | None = None
        self._writer = self._connect_writer()

    @classmethod
    def create(cls, address: str, fingerprint: bytes) -> "PostgresStore":
        """Begin a record in an empty database. Raises StoreTrouble for one that is not empty or not there."""
        refuse_unless_empty(address)
        with connect(address) as connection, connection.transaction():
            make_schema(connection)
            connection.execute("INSERT INTO installation VALUES (1, %s, %s, 0)", (FORMAT, fingerprint))
        return cls(address)

    @classmethod
    def open(cls, address: str, fingerprints: Collection[bytes]) -> "PostgresStore":
        """Open an installation's record. Raises StoreTrouble for one that is missing, foreign, another's or newer."""
        with connect(address) as connection:
            refuse_unless_ours(connection, fingerprints)
        return cls(address)

    def _connect(self, *, read_only: bool = False) -> Connection:
        connection = connect(self._address)
        connection.execute(_SETTINGS)
        if read_only:
            connection.execute("SET default_transaction_read_only TO on")
        else:
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
            )
        return connection

    def _connect_writer(self) -> Connection:
        """Connect, and hold the lock of this process's number: while it is held its streams are nobody else's."""
        connection = self._connect()
        if self._number is None:
            found = connection.execute("SELECT nextval('writer')").fetchone()
            assert found is not None
            self._number = int(found[0])
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (WRITERS, self._number))
        return connection

    # --- writing -----------------------------------------------------------------------------------------------------

    def add_tenant(self, key: TenantKey, note: str) -> None:
        """Keep a tenant's key and the checkpoint of its empty log, durably."""
        with self._writer.transaction():
            write = self._writer.execute
            write("INSERT INTO tenant_key VALUES (%s,%s,%s,%s)", (key.tenant, key.origin, key.public, key.sealed))
            write("INSERT INTO log_head VALUES (%s,0,'')", (key.tenant,))
            write("INSERT INTO checkpoint VALUES (%s,0,%s)", (key.tenant, note))

    def reseal(self, sealed: Mapping[UUID, bytes], fingerprint: bytes) -> None:
        """Replace all tenants' sealed keys, and the fingerprint of the master key."""
        with self._writer.transaction():
            write = self._writer.execute
            others = write(
                "SELECT count(*) FROM pg_locks WHERE locktype='advisory' AND granted AND classid::bigint=%s AND objid::bigint<>%s "
                "AND database=(SELECT oid FROM pg_database WHERE datname=current_database())",
                (WRITERS, self._number),
            ).fetchone()
            if others != (0,):
                raise StoreTrouble("Another server works on this database with the old master key. Stop all servers first.")
            for tenant, key in sealed.items():
                write("UPDATE tenant_key SET sealed=%s WHERE tenant=%s", (key, tenant))
            write("UPDATE installation SET fingerprint=%s", (fingerprint,))

    def commit(self, tenants: Sequence[UUID], prepare: Prepare) -> None:
        """Write in one transaction, under the locks of the tenants' log heads."""
        connection = self._writer
        heads = self._lock(tenants)
        streams, logs = prepare(heads)
        events = sum(len(stream.events) for stream in streams)
        self._begin_streams(streams)
        if events >= COPY_FROM:
            self._copy(streams)
        old = [stream for stream in streams if stream.first]
        try:
            with connection.pipeline():
                if events < COPY_FROM:
                    for row in self._rows_of(streams):
                        connection.execute("INSERT INTO event VALUES (%s,%b,%b,%b)", row)
                if old:
                    self._move(old)
                for log in logs:
                    self._grow(log)
                done = connection.execute("COMMIT")
        except psycopg.errors.DivisionByZero as error:
            raise Displaced("a stream is not where this process thought it was") from error
        if done.statusmessage != "COMMIT":
            raise psycopg.OperationalError(f"the commit ended as {done.statusmessage}")

    def _lock(self, tenants: Sequence[UUID]) -> dict[UUID, LogHead]:
        """Begin, and lock the log heads in one order for all processes, in one round trip."""
        query = sql.SQL(
            "BEGIN; SELECT tenant, size, frontier FROM log_head WHERE tenant IN ({}) ORDER BY tenant FOR UPDATE"
        ).format(sql.SQL(",").join(map(sql.Literal, tenants)))
        cursor = self._writer.execute(query)
        cursor.nextset()
        heads = {tenant: LogHead(size, frontier) for tenant, size, frontier in cursor.fetchall()}
        if missing := set(tenants) - heads.keys():
            raise UnknownTenant(str(missing.pop()))
        return heads

    def _begin_streams(self, streams: Sequence[StreamWrite]) -> None:
        """Find the numbers of streams that were not written before by this process, or at all."""
        unknown = [one for one in streams if one.first == 0 or (one.tenant, one.head.stream) not in self._ids]
        if not unknown:
            return
        asked = []
        with self._writer.pipeline():
            for one in unknown:
                head = one.head
                if one.first == 0:
                    cursor = self._writer.execute(
                        "INSERT INTO stream (tenant, name, size, frontier, sealed, writer) VALUES (%s,%s,%s,%s,%s,%s) RETURNING id",
                        (one.tenant, head.stream, head.size, head.frontier, head.sealed, self._number),
                    )
                else:
                    cursor = self._writer.execute(
                        "SELECT id FROM stream WHERE tenant=%s AND name=%s", (one.tenant, head.stream)
                    )
                asked.append((one, cursor))
        for one, cursor in asked:
            row = cursor.fetchone()
            if row is None:
                raise Displaced(f"{one.head.stream} is not there")
            self._ids[one.tenant, one.head.stream] = row[0]

    def _rows_of(self, streams: Sequence[StreamWrite]) -> Iterator[Row]:
        for stream in streams:
            yield from rows_of(stream, self._ids[stream.tenant, stream.head.stream] << POSITIONS)

    def _copy(self, streams: Sequence[StreamWrite]) -> None:
        with self._writer.cursor().copy("COPY event (id, bytes, seed, texts) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "bytea", "bytea", "bytea"])
            for row in self._rows_of(streams):
                copy.write_row(row)

    def _move(self, streams: Sequence[StreamWrite]) -> None:
        """Move the heads of streams that have events already. One that is sealed or elsewhere divides by zero: the end of the
        transaction without another round trip.
        """
        self._writer.execute(
            "WITH done AS (UPDATE stream SET size=moved.size, frontier=moved.frontier, sealed=moved.sealed, writer=%s FROM "
            "unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[], %b::boolean[]) "
            "AS moved (id, first, size, frontier, sealed) "
            "WHERE stream.id=moved.id AND stream.size=moved.first AND NOT stream.sealed RETURNING 1) "
            "SELECT 1 / (count(*) = %s)::integer FROM done",
            (
                self._number,
                [self._ids[one.tenant, one.head.stream] for one in streams],
                [one.first for one in streams],
                [one.head.size for one in streams],
                [one.head.frontier for one in streams],
                [one.head.sealed for one in streams],
                len(streams),
            ),
        )

    def _grow(self, log: LogWrite) -> None:
        write = self._writer.execute
        write(
            "INSERT INTO log_leaf SELECT %s, %s + n - 1, stream, size, root "
            "FROM unnest(%s::text[], %b::bigint[], %b::bytea[]) WITH ORDINALITY AS leaf (stream, size, root, n)",
            (
                log.tenant,
                log.first,
                [leaf.stream for leaf in log.leaves],
                [leaf.size for leaf in log.leaves],
                [leaf.root for leaf in log.leaves],
            ),
        )
        write("UPDATE log_head SET size=%s, frontier=%b WHERE tenant=%s", (log.head.size, log.head.frontier, log.tenant))
        write("INSERT INTO checkpoint VALUES (%s,%s,%s)", (log.tenant, log.head.size, log.note))

    def recover(self) -> None:
        """Connect anew, wait until whatever the lost connection still did is over, and prove it by a durable write."""
        with suppress(psycopg.Error):
            self._writer.close()
        self._ids.clear()
        self._writer = self._connect_writer()
        with self._writer.transaction():
            self._writer.execute("SELECT 1 FROM log_head ORDER BY tenant FOR UPDATE")
            self._writer.execute("UPDATE installation SET tries = tries + 1")

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, query: LiteralString, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read by this thread's connection; one that was lost since its last use is replaced."""
        known: Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            try:
                return known.execute(query, arguments).fetchall()
            except psycopg.OperationalError:
                if not known.broken or self._within:
                    raise
                self._readers.remove(known)
        fresh = self._local.connection = self._connect(read_only=True)
        self._readers.append(fresh)
        return fresh.execute(query, arguments).fetchall()

    @property
    def _within(self) -> bool:
        return bool(getattr(self._local, "within", False))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read within one REPEATABLE READ transaction."""
        self._read("SELECT 1")
        connection: Connection = self._local.connection
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._local.within = True
        try:
            yield
        finally:
            self._local.within = False
            if not connection.broken:
                connection.execute("ROLLBACK")

    def free(self, tenant: UUID) -> list[StreamHead]:
        """Return the streams that are not sealed and whose writer is this process or is gone."""
        rows = self._read(
            "SELECT name, size, frontier, sealed FROM stream WHERE tenant=%s AND NOT sealed AND (writer=%s OR writer NOT IN "
            "(SELECT objid::bigint FROM pg_locks WHERE locktype='advisory' AND granted AND classid::bigint=%s "
            "AND database=(SELECT oid FROM pg_database WHERE datname=current_database()))) ORDER BY id",
            (tenant, self._number, WRITERS),
        )
        return [StreamHead(*row) for row in rows]

    def erase(self, tenant: UUID, stream: str) -> int:
        """Take the disclosures of a stream out, in steps that let commits pass, and let VACUUM clear the rows that held them."""
        numbers = self._read("SELECT id FROM stream WHERE tenant=%s AND name=%s", (tenant, stream))
        if not numbers:
            return 0
        base = numbers[0][0] << POSITIONS
        connection = self._connect()

        def step() -> int:
            return connection.execute(
                "UPDATE event SET seed=NULL, texts=NULL WHERE id IN "
                "(SELECT id FROM event WHERE id >= %s AND id < %s AND seed IS NOT NULL LIMIT %s)",
                (base, base + (1 << POSITIONS), ERASE_AT_ONCE),
            ).rowcount

        try:
            erased = erased_by(step)
            connection.execute("VACUUM event")
        finally:
            connection.close()
        return erased

    def close(self) -> None:
        """Close all connections."""
        for connection in (*self._readers, self._writer):
            with suppress(psycopg.Error):
                connection.close()
        self._readers.clear()


class PostgresMoment(PostgresStore):
    """The record as one transaction of somebody else's sees it. It reads, in the transaction's thread, and writes nothing."""

    def __init__(self, connection: Connection) -> None:
        """Read by this connection, whose search path is the record's."""
        self._connection = connection

    def _read(self, query: LiteralString, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, arguments).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """It is one."""
        yield

    def close(self) -> None:
        """The transaction is its owner's."""
