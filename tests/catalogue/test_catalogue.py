"""The catalogue says the same on both databases, and no statement runs without its tenant."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from databases import both

from caisey_core.catalogue import schema
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.clients import Client
from caisey_core.catalogue.devices import Device
from caisey_core.catalogue.engine import CatalogueTrouble, Unscoped, system_scope, tenant_scope
from caisey_core.catalogue.installers import Installer
from caisey_core.catalogue.outcomes import Taken
from caisey_core.catalogue.tables import ClientTable, DeviceTable
from caisey_core.catalogue.tenants import Tenant

pytestmark = both
ONE, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def place(tmp_path: Path, new_database: Callable[[], str]) -> Path | str:
    """Where a catalogue can begin."""
    return new_database() or tmp_path / "catalogue.db"


@asynccontextmanager
async def opened(place: Path | str, *, new: bool = True) -> AsyncIterator[Catalogue]:
    """A catalogue for a while."""
    catalogue = await (Catalogue.create(place) if new else Catalogue.open(place))
    try:
        yield catalogue
    finally:
        await catalogue.close()


def installer(uses: int | None, expires_at: int | None = None) -> Installer:
    """An installer with that many uses."""
    return Installer(
        id=uuid4(),
        client=None,
        device_name="",
        token_hash=uuid4().bytes,
        created_by=uuid4(),
        created_by_name="Ann",
        created_at=1,
        expires_at=expires_at,
        uses=uses,
        uses_left=uses,
        revoked_at=None,
        replaced_by=None,
    )


def device(key: bytes = b"") -> Device:
    """A device with a key of its own."""
    return Device(
        id=uuid4(),
        client=uuid4(),
        name="HD-1",
        key=key or uuid4().bytes * 2,
        installer=uuid4(),
        installer_label="all",
        enrolled_at=1,
        removed_at=None,
        removed_reason="",
        facts=None,
        last_seen=None,
    )


async def test_no_statement_runs_without_its_tenant(place: Path | str) -> None:
    """Without a scope, or with another tenant's, a statement is stopped before the database, in a transaction too."""
    async with opened(place) as catalogue:
        await catalogue.clients.create(ONE, Client(uuid4(), "Harbor Dental", 1))
        with pytest.raises(Unscoped, match="no scope"):
            await ClientTable.select()
        for scope in (ONE, OTHER):
            with tenant_scope(scope):
                with pytest.raises(Unscoped, match="tenant is missing"):
                    await ClientTable.select()
                with pytest.raises(Unscoped, match="tenant is missing"):
                    await ClientTable.raw("SELECT * FROM client")
                with pytest.raises(Unscoped, match="tenant is missing"):
                    async with catalogue.installers._engine.transaction():
                        await ClientTable.update({ClientTable.name: "x"}, force=True)
        with tenant_scope(OTHER), pytest.raises(Unscoped, match="tenant is missing"):
            await ClientTable.select().where(ClientTable.tenant == ONE)
        assert await catalogue.clients.list(OTHER) == []
        assert [client.name for client in await catalogue.clients.list(ONE)] == ["Harbor Dental"]
        with system_scope():
            assert await ClientTable.count() == 1


async def test_what_should_be_unique_is_taken(place: Path | str) -> None:
    """A violated UNIQUE is the same outcome on both; in another tenant it is none."""
    async with opened(place) as catalogue:
        clients = catalogue.clients
        assert await clients.create(ONE, Client(uuid4(), "Harbor Dental", 1)) is None
        assert await clients.create(ONE, Client(uuid4(), "HARBOR dental", 2)) == Taken()
        assert await clients.create(OTHER, Client(uuid4(), "Harbor Dental", 3)) is None
        twin = Client(uuid4(), "Northwind", 4)
        await clients.create(ONE, twin)
        assert await clients.rename(ONE, twin.id, "harbor DENTAL") == Taken()
        assert [client.name for client in await clients.list(ONE)] == ["Harbor Dental", "Northwind"]


async def test_a_limited_installer_is_never_used_too_often(place: Path | str) -> None:
    """Twenty devices at once, three uses: three come in. Whoever is refused leaves nothing, not even a used-up use."""
    async with opened(place) as catalogue:
        limited, unlimited, over = installer(3), installer(None), installer(None, expires_at=5)
        for one in (limited, unlimited, over):
            await catalogue.installers.create(ONE, one)
        came = await asyncio.gather(*(catalogue.installers.enrol(ONE, limited.id, device(), 10) for _ in range(20)))
        assert came.count(True) == 3
        assert came.count(None) == 17
        known = device()
        assert await catalogue.installers.enrol(ONE, unlimited.id, known, 10) is True
        assert await catalogue.installers.enrol(ONE, over.id, device(), 10) is None
        assert await catalogue.installers.enrol(OTHER, unlimited.id, device(), 10) is None
        last = installer(1)
        await catalogue.installers.create(ONE, last)
        assert await catalogue.installers.enrol(ONE, last.id, device(known.key), 10) == Taken()
        assert await catalogue.installers.enrol(ONE, last.id, device(), 10) is True
        assert len(await catalogue.devices.list(ONE)) == 5
        assert await catalogue.installers.revoke(ONE, unlimited.id, 11)
        assert await catalogue.installers.enrol(ONE, unlimited.id, device(), 12) is None


async def test_a_transaction_that_ends_badly_leaves_nothing(place: Path | str) -> None:
    """Raised in or cancelled, it is rolled back, and the connection serves the next."""
    async with opened(place) as catalogue:
        engine = catalogue.installers._engine
        for _ in range(12):  # more often than there are connections

            async def half(begun: asyncio.Event) -> None:
                async with engine.transaction():
                    row = ClientTable(id=uuid4(), tenant=ONE, name="x", lower_name="x", created_at=1)
                    await ClientTable.insert(row)
                    begun.set()
                    await asyncio.Event().wait()

            async def fails() -> None:
                async with engine.transaction():
                    await ClientTable.insert(ClientTable(id=uuid4(), tenant=ONE, name="y", lower_name="y", created_at=1))
                    raise ZeroDivisionError

            begun = asyncio.Event()
            with tenant_scope(ONE):
                task = asyncio.create_task(half(begun))
                await begun.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                with pytest.raises(ZeroDivisionError):
                    await fails()
        assert await catalogue.clients.list(ONE) == []


async def test_what_comes_back_is_what_went_in(place: Path | str) -> None:
    """Bytes, big numbers, empty and hostile texts; PostgreSQL keeps no NUL in a text and shows its sign instead."""
    async with opened(place) as catalogue:
        one = device(b"\x00\xff" * 16)
        await catalogue.installers.create(ONE, free := installer(None))
        await catalogue.installers.enrol(ONE, free.id, one, 1)
        name = "Zoë's \N{ROCKET} ' \" % {} $1 \\ \n"
        await catalogue.devices.rename(ONE, one.id, name)
        await catalogue.devices.save_live(ONE, [(one.id, 2**62, b"\x00{}")])
        (found,) = await catalogue.devices.list(ONE)
        assert (found.name, found.key, found.last_seen, found.facts) == (name, one.key, 2**62, b"\x00{}")
        assert await catalogue.devices.names(ONE, [one.id]) == {one.id: name}
        assert await catalogue.devices.all(ONE) == [found]
        await catalogue.devices.rename(ONE, one.id, "a\0b")
        (found,) = await catalogue.devices.list(ONE)
        assert found.name == ("a\0b" if isinstance(place, Path) else "a\N{SYMBOL FOR NULL}b")
        await catalogue.devices.remove(ONE, one.id, 9, "gone")
        assert await catalogue.devices.removed_key(one.id) == one.key


async def test_plugins_entries_are_compared_and_sorted_by_their_bytes(place: Path | str) -> None:
    """Prefixes and order do not depend on a locale; compare-and-swap says the same on both."""
    async with opened(place) as catalogue:
        store = catalogue.plugin_store
        for key in ("b", "B", "a_b", "a-b", "ab", "ä", "a"):
            assert await store.put(ONE, "bash", key, b"1", 0) == 1
        assert await store.keys(ONE, "bash", "") == ["B", "a", "a-b", "a_b", "ab", "b", "ä"]
        assert await store.keys(ONE, "bash", "a") == ["a", "a-b", "a_b", "ab"]
        assert await store.put(ONE, "bash", "a", b"2", 0) is None
        assert await store.put(ONE, "bash", "a", b"2", 1) == 2
        assert await store.put(ONE, "bash", "a", b"3", 1) is None
        many = await asyncio.gather(*(store.put(ONE, "bash", "n", b"%d" % i, None) for i in range(20)))
        assert sorted(many) == list(range(1, 21))
        assert await store.get(ONE, "bash", "a") == (b"2", 2)


async def test_steps_run_once_whoever_starts(place: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several start at once on an older catalogue: each step runs once, rows stay, a newer catalogue is refused."""
    async with opened(place) as catalogue:
        await catalogue.tenants.create(Tenant(ONE, "acme", "Acme", 1))
    step = "CREATE TABLE later (id UUID PRIMARY KEY, tenant UUID NOT NULL, said TEXT NOT NULL, raw BLOB);\nINSERT INTO later SELECT id, id, name, NULL FROM tenant;"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    together = await asyncio.gather(*(Catalogue.open(place) for _ in range(4)))
    with system_scope():
        assert len(await DeviceTable.raw("SELECT * FROM later")) == 1
    for catalogue in together:
        await catalogue.close()
    monkeypatch.setattr(schema, "STEPS", schema.STEPS[:-1])
    with pytest.raises(CatalogueTrouble, match="newer version"):
        await Catalogue.open(place)


async def test_one_is_never_begun_over_another(place: Path | str, tmp_path: Path, new_database: Callable[[], str]) -> None:
    """Neither is one opened where there is none."""
    async with opened(place):
        pass
    with pytest.raises(CatalogueTrouble, match="never begun"):
        await Catalogue.create(place)
    with pytest.raises(CatalogueTrouble, match="no catalogue"):
        await Catalogue.open(new_database() or tmp_path / "elsewhere.db")
