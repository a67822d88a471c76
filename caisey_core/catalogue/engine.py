"""Piccolo on SQLite with kept connections: one writer, some readers, and a guard that fails closed.

Piccolo's own engine opens a connection (and a thread) for each query and begins transactions as DEFERRED, so that concurrent
read-then-write transactions fail. The methods overridden here are private to Piccolo: the version is pinned and
tests/catalogue/test_catalogue.py is the contract.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import aiosqlite
from piccolo.engine.sqlite import SQLiteEngine, SQLiteTransaction, TransactionType, dict_factory

from caisey_core.catalogue import schema

_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "foreign_keys=ON",
    "cache_size=-16000",
    "secure_delete=ON",
)
_READERS: Final = 2

_scope: ContextVar[UUID | None] = ContextVar("tenant scope")


class Unscoped(RuntimeError):
    """A statement was about to run without its tenant: a bug, stopped before it reached the database."""


@contextmanager
def tenant_scope(tenant: UUID) -> Iterator[None]:
    """Allow statements that name this tenant among their parameters, and no others."""
    token = _scope.set(tenant)
    try:
        yield
    finally:
        _scope.reset(token)


@contextmanager
def system_scope() -> Iterator[None]:
    """Allow any statement: for looking up whose a token or a device is, and for work over all tenants."""
    token = _scope.set(None)
    try:
        yield
    finally:
        _scope.reset(token)


def guard(query: str, arguments: Sequence[Any]) -> None:
    """Raise Unscoped unless the scope allows this statement."""
    try:
        tenant = _scope.get()
    except LookupError:
        raise Unscoped(f"no scope for: {query[:80]}") from None
    if tenant is not None and not any(one in (tenant, str(tenant)) for one in arguments):
        raise Unscoped(f"the tenant is missing in: {query[:80]}")


class CatalogueTrouble(Exception):
    """The catalogue cannot be opened; the message says why and what to do."""


class CatalogueUnavailable(Exception):
    """The database is away; it may come back at any moment."""


class CatalogueEngine(Protocol):
    """What queries need of either engine besides running their statements."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Return a transaction: all of it or nothing."""

    async def wipe(self) -> None:
        """Clear the database's files of what was deleted or changed, as far as its kind can."""


class _Transaction(SQLiteTransaction):
    """BEGIN IMMEDIATE on the one writer. The roll-back is shielded: the lock is free only after it is done."""

    engine: "PooledSQLiteEngine"

    async def __aenter__(self) -> Any:
        if self._parent is not None:
            return self._parent
        await self.engine.lock.acquire()
        try:
            self.connection = self.engine.writer
            await self.connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self.engine.lock.release()
            raise
        self.context = self.engine.current_transaction.set(self)
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if self._parent:
            return False
        try:
            await asyncio.shield(self._end(failed=kind is not None))
        finally:
            self.engine.current_transaction.reset(self.context)
            self.engine.lock.release()
        return False

    async def _end(self, *, failed: bool) -> None:
        if self._rolled_back or self._committed:  # by hand, within
            return
        if failed:
            await self.rollback()  # type: ignore[no-untyped-call]
            return
        try:
            await self.commit()  # type: ignore[no-untyped-call]
        except BaseException:
            await self.rollback()  # type: ignore[no-untyped-call]
            raise


class PooledSQLiteEngine(SQLiteEngine):
    """One file; every statement is guarded."""

    def __init__(self, path: Path) -> None:
        super().__init__(path=str(path))
        self.lock = asyncio.Lock()
        self.writer: aiosqlite.Connection
        self._all: list[aiosqlite.Connection] = []
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    async def start_connection_pool(self, **_: Any) -> None:
        """Open the connections."""
        self.writer = await self._open()
        for _number in range(_READERS):
            self._readers.put_nowait(await self._open(read_only=True))

    async def close_connection_pool(self) -> None:
        """Close the connections."""
        for connection in self._all:
            await connection.close()
        self._all.clear()

    async def _open(self, *, read_only: bool = False) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(**self.connection_kwargs)
        self._all.append(connection)
        connection.row_factory = dict_factory  # type: ignore[assignment]
        for pragma in _PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
        if read_only:
            await connection.execute("PRAGMA query_only=ON")
        return connection

    async def _run_in_new_connection(
        self, query: str, args: list[Any] | None = None, query_type: Any = "generic", table: Any = None
    ) -> Any:
        arguments = args or []
        guard(query, arguments)
        if query.lstrip()[:7].upper().startswith(("SELECT", "EXPLAIN")):
            reader = await self._readers.get()
            try:
                return list(await reader.execute_fetchall(query, arguments))
            finally:
                self._readers.put_nowait(reader)
        async with self.lock:
            return list(await self.writer.execute_fetchall(query, arguments))

    async def _run_in_existing_connection(
        self, connection: Any, query: str, args: list[Any] | None = None, query_type: Any = "generic", table: Any = None
    ) -> Any:
        guard(query, args or [])
        return list(await connection.execute_fetchall(query, args or []))

    async def wipe(self) -> None:
        """Empty the write-ahead log, so that nothing of what was deleted or changed is left in it."""
        async with self.lock:
            await self.writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")

    async def create_schema(self) -> None:
        """Begin a catalogue: nothing is to be done, the file is new."""

    async def bring_up_to_date(self) -> None:
        """Run the steps that are missing, in one transaction. Raises CatalogueTrouble."""
        writer = self.writer
        await writer.execute("BEGIN IMMEDIATE")
        try:
            row = await (await writer.execute("PRAGMA user_version")).fetchone()
            assert row is not None
            (version,) = row.values()  # type: ignore[attr-defined]
            if version > len(schema.STEPS):
                raise CatalogueTrouble("The catalogue was written by a newer version of Caisey. Install that version.")
            for step in schema.STEPS[version:]:
                for statement in step.split(";"):
                    if statement.strip():
                        await writer.execute(statement)
            await writer.execute(f"PRAGMA user_version={len(schema.STEPS)}")
            await writer.execute("COMMIT")
        except BaseException:
            await writer.execute("ROLLBACK")
            raise

    def transaction(
        self, transaction_type: TransactionType = TransactionType.immediate, allow_nested: bool = True
    ) -> _Transaction:
        """Return an IMMEDIATE transaction on the writer."""
        return _Transaction(self, transaction_type, allow_nested)
