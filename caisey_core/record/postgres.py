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

import msgspec
import psycopg
from psycopg import sql

from caisey_core.record.commitment import Disclosure
from caisey_core.record.store import (
    POSITIONS,
    Displaced,
    LogHead,
    LogLeaf,
    LogWrite,
    Prepare,
    Recorded,
    StoreTrouble,
    StreamHead,
    StreamWrite,
    TenantKey,
    UnknownTenant,
    Unreadable,
)

FORMAT: Final = 1
WRITERS: Final = 0x43616973  # class of the advisory locks that writing processes hold: "Cais"
ERASE_AT_ONCE: Final = 1000  # events of one transaction
COPY_FROM: Final = 8  # events; fewer travel with the other statements, in one round trip less

_SCHEMA: Final[LiteralString] = """
CREATE SCHEMA caisey_record;
SET LOCAL search_path TO caisey_record;
CREATE TABLE installation (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, fingerprint BYTEA NOT NULL,
  tries BIGINT NOT NULL);
CREATE TABLE tenant_key (tenant UUID PRIMARY KEY, origin TEXT COLLATE "C" NOT NULL UNIQUE, public BYTEA NOT NULL,
  sealed BYTEA NOT NULL);
CREATE TABLE stream (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant UUID NOT NULL REFERENCES tenant_key,
  name TEXT COLLATE "C" NOT NULL, size BIGINT NOT NULL, frontier BYTEA NOT NULL, sealed BOOLEAN NOT NULL, writer INTEGER NOT NULL,
  UNIQUE (tenant, name));
CREATE SEQUENCE writer AS INTEGER CYCLE;
CREATE TABLE event (id BIGINT PRIMARY KEY, bytes BYTEA NOT NULL, seed BYTEA, texts BYTEA);
CREATE TABLE log_leaf (tenant UUID NOT NULL, position BIGINT NOT NULL, stream TEXT COLLATE "C" NOT NULL, size BIGINT NOT NULL,
  root BYTEA NOT NULL, PRIMARY KEY (tenant, position));
CREATE TABLE log_head (tenant UUID PRIMARY KEY, size BIGINT NOT NULL, frontier BYTEA NOT NULL);
CREATE TABLE checkpoint (tenant UUID NOT NULL, size BIGINT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (tenant, size));
ALTER TABLE event ALTER COLUMN bytes SET STORAGE EXTERNAL, ALTER COLUMN texts SET COMPRESSION pglz;
"""
_FOREIGN: Final[LiteralString] = """
SELECT schemaname || '.' || tablename FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 1
"""
_SETTINGS: Final[LiteralString] = """
SET search_path TO caisey_record; SET lock_timeout TO '10s'; SET idle_in_transaction_session_timeout TO '15s';
SET client_min_messages TO warning;
"""

_texts = msgspec.msgpack.Decoder(tuple[bytes, ...])
_pack = msgspec.msgpack.Encoder().encode
_Connection = psycopg.Connection[tuple[Any, ...]]


def connect(address: str) -> _Connection:
    """Connect so that a peer that is gone is noticed within seconds. Raises StoreTrouble."""
    try:
        return psycopg.connect(
            address,
            autocommit=True,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=15000,
            application_name="caisey record",
            prepare_threshold=1,
        )
    except psycopg.Error as error:
        raise StoreTrouble(
            f"The database cannot be used: {str(error).partition(chr(10))[0]}. Check its address (--database, CAISEY_DATABASE or database in "
            "caisey.toml) and that it is running; a database is made with: createdb NAME"
        ) from error


def refuse_unless_empty(address: str) -> None:
    """Raise StoreTrouble unless this database is there and holds nothing."""
    with connect(address) as connection:
        _durable(connection)
        if found := connection.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'caisey%'").fetchone():
            raise StoreTrouble("This database holds an installation of Caisey already; one is never begun over another.")
        if found := connection.execute(_FOREIGN).fetchone():
            raise StoreTrouble(f"This database is not empty (it has {found[0]}). Make a database of its own for Caisey.")


def _durable(connection: _Connection) -> None:
    for setting in ("fsync", "full_page_writes"):
        if connection.execute("SELECT current_setting(%s)", (setting,)).fetchone() != ("on",):
            raise StoreTrouble(
                f"This PostgreSQL runs with {setting} off: what it acknowledges can be lost. Turn it on (ALTER SYSTEM)."
            )


def make_schema(connection: _Connection) -> None:
    """Make the tables, empty, within the caller's transaction; its search path is theirs afterwards."""
    connection.execute(_SCHEMA)


def refuse_unless_ours(connection: _Connection, fingerprints: Collection[bytes]) -> None:
    """Raise StoreTrouble for a database whose record is missing, foreign, another installation's or newer."""
    _durable(connection)
    if connection.execute("SELECT to_regclass('caisey_record.installation')").fetchone() == (None,):
        found = connection.execute(_FOREIGN).fetchone()
        what = f"is not a database of Caisey (it has {found[0]})" if found is not None else "is empty"
        raise StoreTrouble(
            f"This database {what}. Check its address; a new installation begins with: caisey init --database ADDRESS"
        )
    if refuse_format(connection) not in fingerprints:
        raise StoreTrouble(
            "This database belongs to another installation: its master key is not the one in this data folder. "
            "Check the address of the database and the folder."
        )


def refuse_format(connection: _Connection) -> bytes:
    """Raise StoreTrouble for a record that this version does not read; returns the fingerprint of its master key."""
    row = connection.execute("SELECT format, fingerprint FROM caisey_record.installation").fetchone()
    if row is None:
        raise StoreTrouble("The record in this database is damaged. Restore it from your backup.")
    if row[0] > FORMAT:
        raise StoreTrouble("The record in this database was written by a newer version of Caisey. Install that version.")
    return bytes(row[1])


class PostgresStore:
    """A record in a database. One connection writes; each reading thread has its own."""

    failures: tuple[type[Exception], ...] = (psycopg.Error, StoreTrouble)

    def __init__(self, address: str) -> None:
        """Use `create` or `open`."""
        self._address = address
        self._local = threading.local()
        self._readers: list[_Connection] = []
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

    def _connect(self, *, read_only: bool = False) -> _Connection:
        connection = connect(self._address)
        connection.execute(_SETTINGS)
        if read_only:
            connection.execute("SET default_transaction_read_only TO on")
        else:
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
            )
        return connection

    def _connect_writer(self) -> _Connection:
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

    def _rows_of(self, streams: Sequence[StreamWrite]) -> Iterator[tuple[int, bytes, bytes | None, bytes | None]]:
        for stream in streams:
            base = (self._ids[stream.tenant, stream.head.stream] << POSITIONS) + stream.first
            for i, (event, said) in enumerate(stream.events):
                yield (base + i, event, said.seed, _pack(said.texts)) if said is not None else (base + i, event, None, None)

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
        known: _Connection | None = getattr(self._local, "connection", None)
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
        connection: _Connection = self._local.connection
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._local.within = True
        try:
            yield
        finally:
            self._local.within = False
            if not connection.broken:
                connection.execute("ROLLBACK")

    def tenants(self) -> list[TenantKey]:
        """Return all tenants' keys."""
        rows = self._read("SELECT tenant, origin, public, sealed FROM tenant_key ORDER BY tenant")
        return [TenantKey(*row) for row in rows]

    def head(self, tenant: UUID, stream: str) -> StreamHead | None:
        """Return where a stream stands."""
        rows = self._read("SELECT name, size, frontier, sealed FROM stream WHERE tenant=%s AND name=%s", (tenant, stream))
        return StreamHead(*rows[0]) if rows else None

    def heads(self, tenant: UUID) -> list[StreamHead]:
        """Return all streams of a tenant in the order of their birth."""
        rows = self._read("SELECT name, size, frontier, sealed FROM stream WHERE tenant=%s ORDER BY id", (tenant,))
        return [StreamHead(*row) for row in rows]

    def free(self, tenant: UUID) -> list[StreamHead]:
        """Return the streams that are not sealed and whose writer is this process or is gone."""
        rows = self._read(
            "SELECT name, size, frontier, sealed FROM stream WHERE tenant=%s AND NOT sealed AND (writer=%s OR writer NOT IN "
            "(SELECT objid::bigint FROM pg_locks WHERE locktype='advisory' AND granted AND classid::bigint=%s "
            "AND database=(SELECT oid FROM pg_database WHERE datname=current_database()))) ORDER BY id",
            (tenant, self._number, WRITERS),
        )
        return [StreamHead(*row) for row in rows]

    def log_head(self, tenant: UUID) -> LogHead:
        """Return where a tenant's log stands."""
        rows = self._read("SELECT size, frontier FROM log_head WHERE tenant=%s", (tenant,))
        if not rows:
            raise UnknownTenant(str(tenant))
        return LogHead(*rows[0])

    def newest_leaf(self, tenant: UUID, stream: str) -> LogLeaf | None:
        """Return what a tenant's log says last of a stream. The log is searched from its end: such streams are young."""
        rows = self._read(
            "SELECT stream, size, root FROM log_leaf WHERE tenant=%s AND stream=%s ORDER BY position DESC LIMIT 1",
            (tenant, stream),
        )
        return LogLeaf(*rows[0]) if rows else None

    def checkpoint(self, tenant: UUID) -> str:
        """Return the newest signed checkpoint."""
        rows = self._read("SELECT note FROM checkpoint WHERE tenant=%s ORDER BY size DESC LIMIT 1", (tenant,))
        if not rows:
            raise UnknownTenant(str(tenant))
        return str(rows[0][0])

    def read(self, tenant: UUID, stream: str, start: int, limit: int) -> list[Recorded]:
        """Return events from `start` on, in order."""
        numbers = self._read("SELECT id FROM stream WHERE tenant=%s AND name=%s", (tenant, stream))
        if not numbers:
            return []
        base = numbers[0][0] << POSITIONS
        rows = self._read(
            "SELECT id, bytes, seed, texts FROM event WHERE id >= %s AND id < %s ORDER BY id LIMIT %s",
            (base + start, base + (1 << POSITIONS), limit),
        )
        found = []
        for identity, event, seed, texts in rows:
            try:
                disclosure = Disclosure(seed, _texts.decode(texts)) if seed is not None else None
            except (msgspec.DecodeError, TypeError) as error:
                raise Unreadable(stream, identity - base) from error
            found.append(Recorded(identity - base, event, disclosure))
        return found

    def erase(self, tenant: UUID, stream: str) -> int:
        """Take the disclosures of a stream out, in steps that let commits pass, and let VACUUM clear the rows that held them."""
        numbers = self._read("SELECT id FROM stream WHERE tenant=%s AND name=%s", (tenant, stream))
        if not numbers:
            return 0
        base, erased = numbers[0][0] << POSITIONS, 0
        connection = self._connect()
        try:
            while True:
                changed = connection.execute(
                    "UPDATE event SET seed=NULL, texts=NULL WHERE id IN "
                    "(SELECT id FROM event WHERE id >= %s AND id < %s AND seed IS NOT NULL LIMIT %s)",
                    (base, base + (1 << POSITIONS), ERASE_AT_ONCE),
                ).rowcount
                erased += changed
                if changed < ERASE_AT_ONCE:
                    break
            connection.execute("VACUUM event")
        finally:
            connection.close()
        return erased

    def log_leaves(self, tenant: UUID, start: int, limit: int) -> list[LogLeaf]:
        """Return leaves of a tenant's log from `start` on, in order."""
        rows = self._read(
            "SELECT position, stream, size, root FROM log_leaf WHERE tenant=%s AND position>=%s ORDER BY position LIMIT %s",
            (tenant, start, limit),
        )
        found = []
        for expected, (position, stream, size, root) in enumerate(rows, start):
            if position != expected:
                break  # a gap: the log ends here for whoever checks it
            found.append(LogLeaf(stream, size, root))
        return found

    def checkpoints(self, tenant: UUID) -> list[tuple[int, str]]:
        """Return all checkpoints of a tenant by size."""
        return [
            (size, note)
            for size, note in self._read("SELECT size, note FROM checkpoint WHERE tenant=%s ORDER BY size", (tenant,))
        ]

    def strays(self) -> str:
        """Say what lies in the store that belongs to nothing."""
        events, sizes, leaves, heads = self._read(
            "SELECT (SELECT count(*) FROM event), (SELECT coalesce(sum(size), 0) FROM stream), "
            "(SELECT count(*) FROM log_leaf), (SELECT coalesce(sum(size), 0) FROM log_head)"
        )[0]
        if events != sizes:
            return f"{events} events are kept, the streams account for {sizes}"
        for table, count in self._read(
            "SELECT what, count(*) FROM (SELECT 'stream' AS what, tenant FROM stream UNION ALL SELECT 'log_leaf', tenant "
            "FROM log_leaf UNION ALL SELECT 'log_head', tenant FROM log_head UNION ALL SELECT 'checkpoint', tenant FROM checkpoint) "
            "AS kept WHERE tenant NOT IN (SELECT tenant FROM tenant_key) GROUP BY what ORDER BY what LIMIT 1"
        ):
            return f"{count} rows of {table} belong to no tenant"
        return "" if leaves == heads else f"{leaves} log leaves are kept, the logs account for {heads}"

    def close(self) -> None:
        """Close all connections."""
        for connection in (*self._readers, self._writer):
            with suppress(psycopg.Error):
                connection.close()
        self._readers.clear()


class PostgresMoment(PostgresStore):
    """The record as one transaction of somebody else's sees it. It reads, in the transaction's thread, and writes nothing."""

    def __init__(self, connection: _Connection) -> None:
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
