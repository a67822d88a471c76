"""The record in a PostgreSQL: lost connections, a server that goes away, databases that are not ours."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from databases import Postgres, postgres
from doors import PATIENCE
from places import MASTER, Place
from test_writer import TENANT, record_on

from caisey_core.record import writer as writer_module
from caisey_core.record.keys import MasterKey
from caisey_core.record.postgres import PostgresStore
from caisey_core.record.store import RecordUnavailable, StoreTrouble
from caisey_core.record.verify import verify_log
from caisey_core.record.writer import Entry, Record

pytestmark = pytest.mark.parametrize("kind", ["postgresql"], indirect=True, scope="session")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "TRY_AGAIN_SECONDS", 0.05)


async def goes_away_and_comes_back(record: Record, away: Callable[[], None], back: Callable[[], None]) -> None:
    """Write, lose the database, be refused, get it back, write."""
    held, resumed = asyncio.Event(), asyncio.Event()
    record.on_held.append(held.set)
    record.on_resumed.append(resumed.set)
    await record.append(TENANT, "session/a", [Entry(b"0")]).durable
    assert await record.size(TENANT, "session/a") == 1
    away()
    with pytest.raises(RecordUnavailable):
        await record.append(TENANT, "session/a", [Entry(b"1")]).durable
    async with asyncio.timeout(PATIENCE):
        await held.wait()
        back()
        await resumed.wait()
    ticket = record.append(TENANT, "session/a", [Entry(b"2")])
    assert ticket.first == 1
    await ticket.durable
    assert [row.event for row in await record.read(TENANT, "session/a")] == [b"0", b"2"]


async def test_a_lost_connection(place: Place, postgres_server: Postgres) -> None:
    """Cut connections are a failed commit; writer and readers connect anew by themselves."""
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'caisey record'"
    async with record_on(place.create()) as record:
        await goes_away_and_comes_back(record, lambda: postgres_server.run(cut), lambda: None)


async def test_a_server_that_goes_away(place: Place) -> None:
    """While the database is down everything is refused; when it is up again it goes on."""
    with postgres() as server:
        place.database = server.new()
        store = place.create()
        async with record_on(store) as record:
            await goes_away_and_comes_back(record, server.kill, server.start)
            verify_log(store, store.tenants()[0])


async def test_a_commit_that_went_through_although_the_connection_was_lost(place: Place, postgres_server: Postgres) -> None:
    """A commit of a connection that was lost holds the lock to its end: recovering waits for it, then sees what it wrote."""
    store = place.create()
    async with record_on(store):
        with psycopg.connect(place.database) as lost:
            lost.execute("SELECT 1 FROM caisey_record.log_head FOR UPDATE")
            recovering = asyncio.create_task(asyncio.to_thread(store.recover))
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
            with psycopg.connect(place.database, autocommit=True) as watching:
                while watching.execute(waits).fetchone() is None:
                    assert not recovering.done()
                    await asyncio.sleep(0)
            lost.commit()
            await recovering


def test_databases_that_are_none(place: Place, postgres_server: Postgres) -> None:
    """One that is not there, is empty, somebody else's or another installation's is refused in words; none is changed."""
    fingerprint = MASTER.fingerprint
    with pytest.raises(StoreTrouble, match=r"cannot be used.*refused.*createdb"):
        PostgresStore.open("postgresql://caisey@127.0.0.1:1/x", (fingerprint,))
    with pytest.raises(StoreTrouble, match=r'database "typo" does not exist'):
        PostgresStore.open(postgres_server.address("typo"), (fingerprint,))
    with pytest.raises(StoreTrouble, match="is empty"):
        PostgresStore.open(place.database, (fingerprint,))
    other = postgres_server.new()
    postgres_server.run("CREATE TABLE shop (id INTEGER)", other.rpartition("/")[2])
    with pytest.raises(StoreTrouble, match=r"not a database of Caisey \(it has public.shop\)"):
        PostgresStore.open(other, (fingerprint,))
    with pytest.raises(StoreTrouble, match=r"not empty \(it has public.shop\)"):
        PostgresStore.create(other, fingerprint)
    place.create().close()
    with pytest.raises(StoreTrouble, match="belongs to another installation"):
        PostgresStore.open(place.database, MasterKey(b"x" * 32).fingerprints)
    with pytest.raises(StoreTrouble, match="holds an installation of Caisey already"):
        PostgresStore.create(place.database, fingerprint)
    postgres_server.run("UPDATE caisey_record.installation SET format = 99", place.database.rpartition("/")[2])
    with pytest.raises(StoreTrouble, match="newer version"):
        place.open()


def test_a_database_that_forgets(place: Place) -> None:
    """A server without fsync can lose what it acknowledged: it is refused, in words."""
    with postgres(fsync="off") as server, pytest.raises(StoreTrouble, match="fsync off"):
        PostgresStore.create(server.new(), MASTER.fingerprint)
