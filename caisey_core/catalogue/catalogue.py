"""The catalogue: opens its file, brings its schema up to date, and holds one object of queries for each subject."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from caisey_core.catalogue import tables
from caisey_core.catalogue.api_answers import ApiAnswers
from caisey_core.catalogue.api_tokens import ApiTokens
from caisey_core.catalogue.assignments import Assignments
from caisey_core.catalogue.clients import Clients
from caisey_core.catalogue.devices import Devices
from caisey_core.catalogue.engine import CatalogueTrouble, PooledSQLiteEngine, system_scope
from caisey_core.catalogue.erasures import Erasures
from caisey_core.catalogue.holders import Holders
from caisey_core.catalogue.installers import Installers
from caisey_core.catalogue.members import Members
from caisey_core.catalogue.notices import Notices
from caisey_core.catalogue.plugin_choices import PluginChoices
from caisey_core.catalogue.plugin_store import PluginStore
from caisey_core.catalogue.sessions import Sessions
from caisey_core.catalogue.shares import Shares
from caisey_core.catalogue.sign_ins import SignIns
from caisey_core.catalogue.tenants import Tenants
from caisey_core.catalogue.transcripts import Transcripts
from caisey_core.catalogue.ways import Ways
from caisey_core.catalogue.witnesses import Witnesses

if TYPE_CHECKING:
    from caisey_core.catalogue.postgres import PooledPostgresEngine


class Catalogue:
    """What can be looked up. Every query names its tenant."""

    def __init__(self, engine: "PooledSQLiteEngine | PooledPostgresEngine") -> None:
        self._engine = engine
        self.tenants = Tenants()
        self.clients = Clients()
        self.members = Members(engine)
        self.sign_ins = SignIns()
        self.ways = Ways()
        self.holders = Holders()
        self.api_tokens = ApiTokens()
        self.api_answers = ApiAnswers()
        self.installers = Installers(engine)
        self.devices = Devices(engine)
        self.assignments = Assignments()
        self.sessions = Sessions(engine)
        self.notices = Notices()
        self.erasures = Erasures(engine)
        self.plugin_store = PluginStore()
        self.plugin_choices = PluginChoices(engine)
        self.witnesses = Witnesses()
        self.transcripts = Transcripts()
        self.shares = Shares()

    @classmethod
    async def create(cls, place: Path | str) -> "Catalogue":
        """Make a new catalogue: a file, or in a database. Raises CatalogueTrouble if there is one."""
        if isinstance(place, Path) and place.exists():
            raise CatalogueTrouble(f"{place} exists already; a catalogue is never begun anew over another.")
        return await cls._start(place, new=True)

    @classmethod
    async def open(cls, place: Path | str) -> "Catalogue":
        """Open a catalogue and bring it up to date. Raises CatalogueTrouble if it is not there."""
        if isinstance(place, Path) and not place.is_file():
            raise CatalogueTrouble(f"There is no catalogue at {place}. Check the folder, or restore it from your backup.")
        return await cls._start(place, new=False)

    @classmethod
    async def _start(cls, place: Path | str, *, new: bool) -> "Catalogue":
        engine = _engine(place)
        try:
            await engine.start_connection_pool()
            if new:
                await engine.create_schema()
            await engine.bring_up_to_date()
        except BaseException as error:
            await engine.close_connection_pool()  # a connection's thread would keep the process alive
            if isinstance(error, sqlite3.DatabaseError):
                raise CatalogueTrouble(
                    f"{place} is not a readable catalogue ({error}). Restore it from your backup."
                ) from error
            raise
        for table in tables.ALL:
            table._meta.db = engine
        return cls(engine)

    async def strays(self) -> dict[str, int]:
        """Return the tables that hold rows of no tenant, and how many."""
        found = {}
        with system_scope():
            for table in tables.ALL:
                if any(column._meta.name == "tenant" for column in table._meta.columns):
                    name = table._meta.tablename
                    query = f"SELECT count(*) AS n FROM {name} WHERE tenant NOT IN (SELECT id FROM tenant)"  # noqa: S608 - our own names
                    if count := (await table.raw(query))[0]["n"]:
                        found[name] = int(count)
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.close_connection_pool()


def _engine(place: Path | str) -> "PooledSQLiteEngine | PooledPostgresEngine":
    if isinstance(place, Path):
        return PooledSQLiteEngine(place)
    try:
        from caisey_core.catalogue.postgres import PooledPostgresEngine
    except ImportError as error:
        raise CatalogueTrouble("PostgreSQL needs its drivers. Install them:  pip install 'caisey[postgresql]'") from error
    return PooledPostgresEngine(place)
