"""Backup, restore and doctor on PostgreSQL: COPY within one transaction; its pages are its own to check, amcheck's if that is there."""

import re
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString

import asyncpg  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from caisey_core import config
from caisey_core.catalogue import postgres as catalogue_postgres
from caisey_core.catalogue import schema as catalogue_schema
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.sessions import SessionRow, columns_of
from caisey_core.record import postgres_schema as record_schema
from caisey_core.record.keys import MasterKey
from caisey_core.record.postgres import PostgresMoment, PostgresStore
from caisey_core.record.store import Store, StoreTrouble
from caisey_core.record.stores import MASTER_KEY
from caisey_core.services import rebuild
from caisey_core.services.databases import POSTGRESQL, BackupTrouble, Copied, Fault

RECORD: Final = "caisey_record"
CATALOGUE: Final = catalogue_postgres.SCHEMA
NAME: Final = re.compile(rf"({RECORD}|{CATALOGUE})/[a-z_]{{1,60}}")
_PIECE: Final = 1 << 20
_Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresDatabases:
    """The two schemas of a database. A backup has a file for each table: what COPY … (FORMAT BINARY) puts out."""

    kind = POSTGRESQL
    private: Sequence[str] = ()
    failures: tuple[type[Exception], ...] = (psycopg.Error, asyncpg.PostgresError, asyncpg.InterfaceError)

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address

    def record(self) -> PostgresStore:
        """Open the record."""
        return PostgresStore.open(self.address, self._fingerprints)

    async def catalogue(self) -> Catalogue:
        """Open the catalogue."""
        return await Catalogue.open(self.address)

    @property
    def _fingerprints(self) -> Collection[bytes]:
        return MasterKey.open(self.folder / MASTER_KEY).fingerprints

    def looks(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """Ask the server how it keeps what it acknowledges, and amcheck about the pages."""
        return ("database", self._server), ("pages", self._pages)

    def _server(self) -> str:
        with closing(record_schema.connect(self.address)) as connection:
            try:
                record_schema.refuse_unless_ours(connection, self._fingerprints)
            except StoreTrouble as error:
                raise Fault(str(error)) from error
            version, encoding, commit, checksums = _row(
                connection,
                "SELECT current_setting('server_version'), current_setting('server_encoding'), "
                "current_setting('synchronous_commit'), current_setting('data_checksums')",
            )
        if encoding != "UTF8":
            raise Fault(
                f"its encoding is {encoding}, which cannot hold every text. Make one of UTF8 and restore a backup to it."
            )
        return (
            f"PostgreSQL {version}; fsync and full_page_writes are on, synchronous_commit is {commit}, "
            f"checksums of pages are {checksums}"
        )

    def _pages(self) -> str:
        with closing(record_schema.connect(self.address)) as connection:
            found = connection.execute(_AMCHECK).fetchone()
            if found is None:
                return "are PostgreSQL's to check; doctor would ask its extension amcheck, which is not in this database"
            if not found[1]:
                return "are PostgreSQL's to check; this account may not use the extension amcheck"
            place = sql.Identifier(found[0])
            try:
                indexes = connection.execute(_INDEXES.format(place), (RECORD, CATALOGUE)).fetchall()
                faults = connection.execute(_HEAPS.format(place), (RECORD, CATALOGUE)).fetchall()
            except (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted) as error:
                raise Fault(f"amcheck: {_words(error)}. Restore your backup to another database.") from error
        if faults:
            raise Fault(f"amcheck: {faults[0][0]}: {faults[0][1]}. Restore your backup to another database.")
        return f"amcheck found all tables and {len(indexes)} indexes in order"

    @contextmanager
    def copied(self, to: Path) -> Iterator[Copied]:
        """Copy every table of both schemas within one transaction; the record is what that sees."""
        with closing(record_schema.connect(self.address)) as connection:
            record_schema.refuse_unless_ours(connection, self._fingerprints)
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                connection.execute(f"SET LOCAL search_path TO {RECORD}")
                names = [name for schema in (CATALOGUE, RECORD) for name in _tables(connection, schema)]
                if f"{CATALOGUE}/version" not in names:
                    raise BackupTrouble("There is no catalogue in this database. caisey doctor says more.")
                for name in names:
                    _copy_out(connection, name, to / name)
                yield Copied(names, PostgresMoment(connection))
            except psycopg.Error as error:
                raise BackupTrouble(f"The database cannot be copied ({_words(error)}). Try again once it is back.") from error

    def refuse_unless_empty(self) -> None:
        """Raise StoreTrouble unless the database is there and holds nothing."""
        record_schema.refuse_unless_empty(self.address)

    def belongs(self, name: str) -> bool:
        """Say whether a copy may have a file of this name; whether it has a table of it, the schema's steps tell."""
        return NAME.fullmatch(name) is not None

    @contextmanager
    def restored(self, folder: Path) -> Iterator["_Restored"]:
        """Fill the database from a folder within one transaction, which whoever uses it ends by `settle`."""
        with closing(record_schema.connect(self.address)) as connection:
            try:
                connection.execute("BEGIN; SET LOCAL synchronous_commit TO on; SET LOCAL lock_timeout TO '30s'")
                _fill_catalogue(connection, folder)
                _fill_record(connection, folder)
                for schema in (RECORD, CATALOGUE):
                    shutil.rmtree(folder / schema)
                config.name_database(folder, self.address)
                yield _Restored(connection)
            except psycopg.Error as error:
                raise BackupTrouble(f"The database did not take the backup: {_words(error)}") from error


class _Restored:
    def __init__(self, connection: _Connection) -> None:
        self.store: Store = PostgresMoment(connection)
        self._connection = connection

    async def make_session_rows(self) -> int:
        tenants = [tenant for (tenant,) in self._connection.execute(f"SELECT id FROM {CATALOGUE}.tenant")]  # noqa: S608
        made = [columns_of(tenant, row) for tenant in tenants for row in rebuild.rows_in(self.store, tenant).values()]
        names = ("tenant", "search", *SessionRow.__struct_fields__)
        with self._connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {CATALOGUE}.session")  # noqa: S608
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(CATALOGUE, "session"), sql.SQL(",").join(map(sql.Identifier, names))
            )
            with cursor.copy(statement) as copy:
                for row in made:
                    copy.write_row(catalogue_postgres.texts([row[name] for name in names]))
        return len(made)

    def settle(self, move: Callable[[], None]) -> None:
        move()  # a folder whose database stayed empty cannot be served, and can be deleted; a full database without its folder is worse
        if self._connection.execute("COMMIT").statusmessage != "COMMIT":
            raise BackupTrouble("The database took the backup back at its end. Try again.")


_AMCHECK: Final = """
SELECT nspname, has_function_privilege(format('%I.bt_index_check(regclass,boolean)', nspname), 'execute')
  AND has_function_privilege(format('%I.verify_heapam(regclass,boolean,boolean,text,bigint,bigint)', nspname), 'execute')
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'amcheck'
"""
_INDEXES: Final = sql.SQL("""
SELECT {}.bt_index_check(index.oid, true) FROM pg_class AS index JOIN pg_am ON pg_am.oid = index.relam
WHERE index.relkind = 'i' AND amname = 'btree' AND index.relnamespace IN (%s::regnamespace, %s::regnamespace)
""")
_HEAPS: Final = sql.SQL("""
SELECT heap.relname, found.msg FROM pg_class AS heap, {}.verify_heapam(heap.oid, check_toast => true) AS found
WHERE heap.relkind = 'r' AND heap.relnamespace IN (%s::regnamespace, %s::regnamespace) LIMIT 1
""")
_TABLES: Final = """
SELECT nspname || '/' || relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relkind = 'r'
ORDER BY EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'f'), relname
"""


def _tables(connection: _Connection, schema: str) -> list[str]:
    """Return the files of a schema's tables, those first to which others refer."""
    return [name for (name,) in connection.execute(_TABLES, (schema,))]


def _row(connection: _Connection, query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


def _words(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]


def _copy_out(connection: _Connection, name: str, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    statement = sql.SQL("COPY {} TO STDOUT (FORMAT BINARY)").format(sql.Identifier(*name.split("/")))
    with path.open("xb") as file, connection.cursor().copy(statement) as copy:
        for piece in copy:
            file.write(piece)


def _copy_in(connection: _Connection, folder: Path, name: str) -> None:
    """Fill a table. Its columns are where they were: schemas are made by the same steps everywhere."""
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(sql.Identifier(*name.split("/")))
    if not (folder / name).is_file():
        raise BackupTrouble(f"This is no backup of Caisey: it has no {name}.")
    with (folder / name).open("rb") as file, connection.cursor().copy(statement) as copy:
        while piece := file.read(_PIECE):
            copy.write(piece)


def _fill(connection: _Connection, folder: Path, schema: str, done: tuple[str, ...] = ()) -> None:
    tables = _tables(connection, schema)
    if foreign := {f"{schema}/{path.name}" for path in (folder / schema).iterdir()} - set(tables):
        raise BackupTrouble(f"The backup holds “{min(foreign)}”, which does not belong there.")
    for name in tables:
        if name not in done:
            _copy_in(connection, folder, name)


def _fill_catalogue(connection: _Connection, folder: Path) -> None:
    """Make the tables as they were, fill them, and bring them up to date."""
    version = f"{CATALOGUE}/version"
    connection.execute(catalogue_postgres.EMPTY)
    connection.execute(f"SET LOCAL search_path TO {CATALOGUE}")
    _copy_in(connection, folder, version)
    (done,) = _row(connection, "SELECT coalesce(max(steps), 0) FROM version")
    if not 0 <= done <= len(catalogue_schema.STEPS):
        raise BackupTrouble("The catalogue in the backup was written by a newer version of Caisey. Install that version.")
    for step in catalogue_schema.STEPS[:done]:
        connection.execute(catalogue_schema.for_postgresql(step).encode())
    _fill(connection, folder, CATALOGUE, (version,))
    for number, step in enumerate(catalogue_schema.STEPS[done:], done + 1):
        connection.execute(catalogue_schema.for_postgresql(step).encode())
        connection.execute("INSERT INTO version VALUES (%s)", (number,))


def _fill_record(connection: _Connection, folder: Path) -> None:
    """Make the tables, fill them, and go on counting where the numbers of streams and writers were."""
    record_schema.make_schema(connection)
    _fill(connection, folder, RECORD)
    record_schema.refuse_format(connection)
    connection.execute("SELECT setval(pg_get_serial_sequence('stream', 'id'), max(id)) FROM stream HAVING count(*) > 0")
    connection.execute("SELECT setval('writer', max(writer)) FROM stream HAVING count(*) > 0")
