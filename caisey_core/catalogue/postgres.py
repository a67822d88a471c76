"""Piccolo on PostgreSQL with a pool, in a schema of its own, behind the guard that fails closed.

Piccolo's own transaction leaks its connection when BEGIN, COMMIT or a cancelled ROLLBACK fails; the one here gives it back.
What is overridden is private to Piccolo: the version is pinned and tests/catalogue/test_catalogue.py is the contract.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction
from piccolo.querystring import QueryString

from caisey_core.catalogue import schema
from caisey_core.catalogue.engine import guard
from caisey_core.catalogue.outcomes import CatalogueTrouble, CatalogueUnavailable

SCHEMA: Final = "caisey_catalogue"
EMPTY: Final = f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.version (steps BIGINT NOT NULL)"
CONNECTIONS: Final = 10
_LOCK: Final = 0x43616973  # of the schema's steps: "Cais"


class _Transaction(PostgresTransaction):
    """The end is shielded: the connection goes back to the pool only after COMMIT or ROLLBACK is done."""

    engine: "PooledPostgresEngine"

    async def __aenter__(self) -> Any:
        if self._parent is not None:
            return self._parent
        self.connection = await self.engine.acquire()
        try:
            self.transaction = self.connection.transaction()
            await self.begin()  # type: ignore[no-untyped-call]
        except BaseException:
            await self.engine.release(self.connection)
            raise
        self.context = self.engine.current_transaction.set(self)
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if self._parent:
            return False
        self.engine.current_transaction.reset(self.context)
        await asyncio.shield(self._end(failed=kind is not None))
        return False

    async def _end(self, *, failed: bool) -> None:
        try:
            if self._rolled_back or self._committed:
                return
            if failed:
                await self.rollback()  # type: ignore[no-untyped-call]
            else:
                await self.commit()  # type: ignore[no-untyped-call]
        finally:
            await self.engine.release(self.connection)


class PooledPostgresEngine(PostgresEngine):
    """One database; every statement is guarded."""

    def __init__(self, address: str) -> None:
        super().__init__(
            config={
                "dsn": address,
                "timeout": 5,
                "command_timeout": 30,
                "server_settings": {"search_path": SCHEMA, "application_name": "caisey catalogue"},
            }
        )

    async def check_version(self) -> None:
        """Connect to nothing yet: Piccolo's constructor asks here, and prints a warning of a database that is away."""

    async def start_connection_pool(self, **_: Any) -> None:
        """Open the connections. Raises CatalogueTrouble."""
        try:
            await super().start_connection_pool(min_size=1, max_size=CONNECTIONS)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise CatalogueTrouble(
                f"The database cannot be used: {error}. Check its address and that it is running."
            ) from error

    async def close_connection_pool(self) -> None:
        """Close the connections, if any were opened: Piccolo would print a warning."""
        if self.pool is not None:
            await super().close_connection_pool()

    async def acquire(self) -> Any:
        """Take a connection of the pool."""
        assert self.pool is not None
        with _away():
            return await self.pool.acquire()

    async def release(self, connection: Any) -> None:
        """Give a connection back."""
        assert self.pool is not None
        await self.pool.release(connection)

    async def run_querystring(self, querystring: QueryString, in_pool: bool = True) -> Any:
        """Run a statement: guarded, in the task's transaction if there is one."""
        query, arguments = querystring.compile_string(engine_type=self.engine_type)
        guard(query, arguments)
        transaction = self.current_transaction.get()
        assert self.pool is not None
        with _away():
            if transaction is not None:
                return await transaction.connection.fetch(query, *texts(arguments))
            async with self.pool.acquire() as connection:
                return await connection.fetch(query, *texts(arguments))

    async def run_ddl(self, ddl: str, in_pool: bool = True) -> Any:
        """Refuse: the tables are made by schema.py and by nothing else."""
        raise AssertionError(f"no table is made or changed here: {ddl[:80]}")

    def transaction(self, allow_nested: bool = True) -> _Transaction:
        """Return a transaction on a connection of its own."""
        return _Transaction(self, allow_nested)

    async def wipe(self) -> None:
        """Clear the rows that held what was deleted or changed."""
        connection = await self.acquire()
        try:
            await connection.execute("VACUUM session, transcript, share, share_file")
        finally:
            await self.release(connection)

    async def create_schema(self) -> None:
        """Begin a catalogue. Raises CatalogueTrouble if there is one."""
        connection = await self.acquire()
        try:
            await connection.execute(EMPTY)
        except asyncpg.DuplicateSchemaError as error:
            raise CatalogueTrouble("This database has a catalogue already; one is never begun anew over another.") from error
        finally:
            await self.release(connection)

    async def bring_up_to_date(self) -> None:
        """Run the steps that are missing; the lock keeps processes that start at once from meeting. Raises CatalogueTrouble."""
        connection = await self.acquire()
        try:
            async with connection.transaction():
                await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
                if await connection.fetchval(f"SELECT to_regclass('{SCHEMA}.version')") is None:
                    raise CatalogueTrouble("There is no catalogue in this database. Check its address, or restore your backup.")
                done = await connection.fetchval("SELECT max(steps) FROM version") or 0
                if done > len(schema.STEPS):
                    raise CatalogueTrouble("The catalogue was written by a newer version of Caisey. Install that version.")
                for number, step in enumerate(schema.STEPS[done:], done + 1):
                    await connection.execute(schema.for_postgresql(step))
                    await connection.execute("INSERT INTO version VALUES ($1)", number)
        finally:
            await self.release(connection)


@contextmanager
def _away() -> Iterator[None]:
    """Tell a database that is away from a statement that is wrong."""
    try:
        yield
    except asyncpg.DataError:
        raise
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as error:
        raise CatalogueUnavailable(f"the database is away: {error}") from error


def texts(arguments: Sequence[Any]) -> list[Any]:
    """PostgreSQL keeps no NUL in a text. The record has what was really said; the catalogue shows its sign for it."""
    return [one.replace("\0", "\N{SYMBOL FOR NULL}") if isinstance(one, str) else one for one in arguments]
