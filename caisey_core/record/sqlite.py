"""The record on SQLite: its own file, WAL, synchronous=FULL, raw sqlite3.

An event's row id is stream << 40 | position, so a stream lies together and is read by one range. Expected system calls of a
commit: pwrite to the WAL, one fdatasync of the WAL. A crash before the fdatasync leaves frames without a valid commit record,
which SQLite ignores at the next open; after it the commit is there. Nobody needs to repair anything.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from caisey_core.record.rows import ERASE_AT_ONCE, erased_by, recorded, rows_of, unbroken
from caisey_core.record.store import (
    POSITIONS,
    Displaced,
    LogHead,
    LogLeaf,
    Prepare,
    Recorded,
    StoreTrouble,
    StreamHead,
    StreamWrite,
    TenantKey,
    UnknownTenant,
)

APPLICATION_ID = 0x43616973  # "Cais"
FORMAT = 1

_SCHEMA = """
CREATE TABLE tenant_key (tenant BLOB PRIMARY KEY, origin TEXT NOT NULL UNIQUE, public BLOB NOT NULL, sealed BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE stream (id INTEGER PRIMARY KEY, tenant BLOB NOT NULL REFERENCES tenant_key, name TEXT NOT NULL,
  size INTEGER NOT NULL, frontier BLOB NOT NULL, sealed INTEGER NOT NULL, UNIQUE (tenant, name));
CREATE TABLE event (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL, seed BLOB, texts BLOB);
CREATE TABLE log_leaf (tenant BLOB NOT NULL, position INTEGER NOT NULL, stream TEXT NOT NULL, size INTEGER NOT NULL,
  root BLOB NOT NULL, PRIMARY KEY (tenant, position)) WITHOUT ROWID;
CREATE TABLE log_head (tenant BLOB PRIMARY KEY, size INTEGER NOT NULL, frontier BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoint (tenant BLOB NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (tenant, size))
  WITHOUT ROWID;
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), tries INTEGER NOT NULL);
INSERT INTO probe VALUES (1, 0);
"""


def _text(data: bytes) -> str:
    """A damaged text is still read, so that whoever verifies it can say where it is."""
    return data.decode(errors="replace")


class SqliteStore:
    """A record file. One connection writes; each reading thread has its own."""

    failures: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        """Use `create` or `open`."""
        self.path = path
        self._writer = self._connect()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._ids: dict[tuple[UUID, str], int] = {}

    @classmethod
    def create(cls, path: Path) -> "SqliteStore":
        """Make a new record file. Raises StoreTrouble if there is one: a new history is begun only where none is."""
        if path.exists():
            raise StoreTrouble(f"{path} exists already; a record is never begun anew over another.")
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={FORMAT};COMMIT;")
        connection.close()
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "SqliteStore":
        """Open a record file. Raises StoreTrouble for one that is missing, foreign or newer."""
        if not path.is_file():
            raise StoreTrouble(f"There is no record at {path}. Check the folder; a new installation begins with: caisey init")
        try:
            connection = sqlite3.connect(path)
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.close()
        except sqlite3.DatabaseError as error:
            raise StoreTrouble(f"{path} is not a readable record ({error}). Restore it from your backup.") from error
        if application != APPLICATION_ID or version < 1:
            raise StoreTrouble(f"{path} is not a record of Caisey. Check the folder, or restore it from your backup.")
        if version > FORMAT:
            raise StoreTrouble(f"{path} was written by a newer version of Caisey. Install that version.")
        return cls(path)

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.text_factory = _text
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        return connection

    @property
    def _reader(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._connect(read_only=True)
            self._readers.append(found)
        return found

    def add_tenant(self, key: TenantKey, note: str) -> None:
        """Keep a tenant's key and the checkpoint of its empty log, durably."""
        with _Transaction(self._writer) as write:
            write.execute("INSERT INTO tenant_key VALUES (?,?,?,?)", (key.tenant.bytes, key.origin, key.public, key.sealed))
            write.execute("INSERT INTO log_head VALUES (?,0,x'')", (key.tenant.bytes,))
            write.execute("INSERT INTO checkpoint VALUES (?,0,?)", (key.tenant.bytes, note))

    def reseal(self, sealed: Mapping[UUID, bytes], fingerprint: bytes) -> None:
        """Replace all tenants' sealed keys; a file does not say whose it is."""
        with _Transaction(self._writer) as write:
            for tenant, key in sealed.items():
                write.execute("UPDATE tenant_key SET sealed=? WHERE tenant=?", (key, tenant.bytes))

    def tenants(self) -> list[TenantKey]:
        """Return all tenants' keys."""
        rows = self._reader.execute("SELECT tenant, origin, public, sealed FROM tenant_key ORDER BY tenant")
        return [TenantKey(UUID(bytes=tenant), origin, public, sealed) for tenant, origin, public, sealed in rows]

    def commit(self, tenants: Sequence[UUID], prepare: Prepare) -> None:
        """Write in one transaction. It begins as IMMEDIATE: from there on no other process writes."""
        with _Transaction(self._writer) as write:
            streams, logs = prepare({tenant: self._log_head(write, tenant) for tenant in tenants})
            for stream in streams:
                base = self._stream_id(write, stream) << POSITIONS
                write.executemany("INSERT INTO event VALUES (?,?,?,?)", rows_of(stream, base))
            for log in logs:
                tenant = log.tenant.bytes
                write.executemany(
                    "INSERT INTO log_leaf VALUES (?,?,?,?,?)",
                    ((tenant, log.first + i, leaf.stream, leaf.size, leaf.root) for i, leaf in enumerate(log.leaves)),
                )
                write.execute(
                    "UPDATE log_head SET size=?, frontier=? WHERE tenant=?", (log.head.size, log.head.frontier, tenant)
                )
                write.execute("INSERT INTO checkpoint VALUES (?,?,?)", (tenant, log.head.size, log.note))

    def _stream_id(self, write: sqlite3.Connection, stream: StreamWrite) -> int:
        name = (stream.tenant, stream.head.stream)
        head = stream.head
        if stream.first == 0:
            cursor = write.execute(
                "INSERT INTO stream (tenant, name, size, frontier, sealed) VALUES (?,?,?,?,?)",
                (stream.tenant.bytes, head.stream, head.size, head.frontier, head.sealed),
            )
            assert cursor.lastrowid is not None
            self._ids[name] = cursor.lastrowid
            return cursor.lastrowid
        found = self._ids.get(name)
        if found is None:
            row = write.execute(
                "SELECT id FROM stream WHERE tenant=? AND name=?", (stream.tenant.bytes, head.stream)
            ).fetchone()
            found = self._ids[name] = int(row[0])
        changed = write.execute(
            "UPDATE stream SET size=?, frontier=?, sealed=? WHERE id=? AND size=? AND NOT sealed",
            (head.size, head.frontier, head.sealed, found, stream.first),
        )
        if changed.rowcount != 1:
            raise Displaced(f"{head.stream} is not where this process thought it was")
        return found

    def recover(self) -> None:
        """Open the writer anew and prove it by a durable write."""
        self._writer.close()
        self._ids.clear()
        self._writer = self._connect()
        with _Transaction(self._writer) as write:
            write.execute("UPDATE probe SET tries = tries + 1")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Hold this thread's reader at one moment."""
        self._reader.execute("BEGIN")
        try:
            yield
        finally:
            self._reader.execute("ROLLBACK")

    def head(self, tenant: UUID, stream: str) -> StreamHead | None:
        """Return where a stream stands."""
        row = self._reader.execute(
            "SELECT name, size, frontier, sealed FROM stream WHERE tenant=? AND name=?", (tenant.bytes, stream)
        ).fetchone()
        return None if row is None else StreamHead(row[0], row[1], row[2], bool(row[3]))

    def heads(self, tenant: UUID) -> list[StreamHead]:
        """Return all streams of a tenant in the order of their birth."""
        rows = self._reader.execute(
            "SELECT name, size, frontier, sealed FROM stream WHERE tenant=? ORDER BY id", (tenant.bytes,)
        )
        return [StreamHead(name, size, frontier, bool(sealed)) for name, size, frontier, sealed in rows]

    def free(self, tenant: UUID) -> list[StreamHead]:
        """Return the streams that are not sealed: a file has one server, what another process wrote is left over."""
        return [head for head in self.heads(tenant) if not head.sealed]

    def log_head(self, tenant: UUID) -> LogHead:
        """Return where a tenant's log stands."""
        return self._log_head(self._reader, tenant)

    @staticmethod
    def _log_head(connection: sqlite3.Connection, tenant: UUID) -> LogHead:
        row = connection.execute("SELECT size, frontier FROM log_head WHERE tenant=?", (tenant.bytes,)).fetchone()
        if row is None:
            raise UnknownTenant(str(tenant))
        return LogHead(*row)

    def newest_leaf(self, tenant: UUID, stream: str) -> LogLeaf | None:
        """Return what a tenant's log says last of a stream. The log is searched from its end: such streams are young."""
        row = self._reader.execute(
            "SELECT stream, size, root FROM log_leaf WHERE tenant=? AND stream=? ORDER BY position DESC LIMIT 1",
            (tenant.bytes, stream),
        ).fetchone()
        return None if row is None else LogLeaf(*row)

    def checkpoint(self, tenant: UUID) -> str:
        """Return the newest signed checkpoint."""
        row = self._reader.execute(
            "SELECT note FROM checkpoint WHERE tenant=? ORDER BY size DESC LIMIT 1", (tenant.bytes,)
        ).fetchone()
        if row is None:
            raise UnknownTenant(str(tenant))
        return str(row[0])

    def read(self, tenant: UUID, stream: str, start: int, limit: int) -> list[Recorded]:
        """Return events from `start` on, in order."""
        row = self._reader.execute("SELECT id FROM stream WHERE tenant=? AND name=?", (tenant.bytes, stream)).fetchone()
        if row is None:
            return []
        base = int(row[0]) << POSITIONS
        rows = self._reader.execute(
            "SELECT id, bytes, seed, texts FROM event WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (base + start, base + (1 << POSITIONS), limit),
        )
        return recorded(stream, base, rows)

    def erase(self, tenant: UUID, stream: str) -> int:
        """Overwrite the disclosures of a stream, in steps that let commits pass, and empty the WAL that holds them too."""
        row = self._reader.execute("SELECT id FROM stream WHERE tenant=? AND name=?", (tenant.bytes, stream)).fetchone()
        if row is None:
            return 0
        base = int(row[0]) << POSITIONS
        connection = self._connect()

        def step() -> int:
            with _Transaction(connection) as write:
                return write.execute(
                    "UPDATE event SET seed=NULL, texts=NULL WHERE id IN "
                    "(SELECT id FROM event WHERE id >= ? AND id < ? AND seed IS NOT NULL LIMIT ?)",
                    (base, base + (1 << POSITIONS), ERASE_AT_ONCE),
                ).rowcount

        try:
            connection.execute("PRAGMA secure_delete=ON")
            erased = erased_by(step)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        return erased

    def log_leaves(self, tenant: UUID, start: int, limit: int) -> list[LogLeaf]:
        """Return leaves of a tenant's log from `start` on, in order."""
        rows = self._reader.execute(
            "SELECT position, stream, size, root FROM log_leaf WHERE tenant=? AND position>=? ORDER BY position LIMIT ?",
            (tenant.bytes, start, limit),
        )
        return unbroken(start, rows)

    def checkpoints(self, tenant: UUID) -> list[tuple[int, str]]:
        """Return all checkpoints of a tenant by size."""
        rows = self._reader.execute("SELECT size, note FROM checkpoint WHERE tenant=? ORDER BY size", (tenant.bytes,))
        return [(size, note) for size, note in rows]

    def strays(self) -> str:
        """Say what lies in the store that belongs to nothing."""
        (events,) = self._reader.execute("SELECT count(*) FROM event").fetchone()
        (sizes,) = self._reader.execute("SELECT coalesce(sum(size), 0) FROM stream").fetchone()
        if events != sizes:
            return f"{events} events are kept, the streams account for {sizes}"
        for table in ("stream", "log_leaf", "log_head", "checkpoint"):
            query = f"SELECT count(*) FROM {table} WHERE tenant NOT IN (SELECT tenant FROM tenant_key)"  # noqa: S608 - our own names
            (count,) = self._reader.execute(query).fetchone()
            if count:
                return f"{count} rows of {table} belong to no tenant"
        (leaves,) = self._reader.execute("SELECT count(*) FROM log_leaf").fetchone()
        (heads,) = self._reader.execute("SELECT coalesce(sum(size), 0) FROM log_head").fetchone()
        return "" if leaves == heads else f"{leaves} log leaves are kept, the logs account for {heads}"

    def close(self) -> None:
        """Close all connections."""
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        self._writer.close()


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT; whatever fails is rolled back and raised."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                return  # the connection is opened anew by recover
