"""An installation's schema in PostgreSQL: how to reach it, how it is begun, and whether the one that is there is ours."""

from collections.abc import Collection
from typing import Any, Final, LiteralString

import psycopg

from caisey_core.record.store import StoreTrouble

FORMAT: Final = 1

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

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(address: str) -> Connection:
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


def _durable(connection: Connection) -> None:
    for setting in ("fsync", "full_page_writes"):
        if connection.execute("SELECT current_setting(%s)", (setting,)).fetchone() != ("on",):
            raise StoreTrouble(
                f"This PostgreSQL runs with {setting} off: what it acknowledges can be lost. Turn it on (ALTER SYSTEM)."
            )


def make_schema(connection: Connection) -> None:
    """Make the tables, empty, within the caller's transaction; its search path is theirs afterwards."""
    connection.execute(_SCHEMA)


def refuse_unless_ours(connection: Connection, fingerprints: Collection[bytes]) -> None:
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


def refuse_format(connection: Connection) -> bytes:
    """Raise StoreTrouble for a record that this version does not read; returns the fingerprint of its master key."""
    row = connection.execute("SELECT format, fingerprint FROM caisey_record.installation").fetchone()
    if row is None:
        raise StoreTrouble("The record in this database is damaged. Restore it from your backup.")
    if row[0] > FORMAT:
        raise StoreTrouble("The record in this database was written by a newer version of Caisey. Install that version.")
    return bytes(row[1])
