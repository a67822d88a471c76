"""An installation in which real work was done, and exports from it that no page offers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from forgeries import Change, Row, entry, rows_of
from msgspec.structs import replace

from caisey_core import config
from caisey_core.app import close_house, open_house
from caisey_core.domain import events as e
from caisey_core.domain.roles import Member, Role
from caisey_core.record.keys import MasterKey
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.writer import Entry, Record
from caisey_core.services import export
from caisey_core.services.export import Exported, Transcript

Forge = Callable[..., bytes]


@dataclass
class World:
    """A stopped installation in which real work was done, its sessions, and the bundles that its API gave."""

    data: Path
    sessions: dict[str, str]
    bundles: dict[str, bytes]


def exported(data: Path, session: str, transcript: Transcript = export.EVERYTHING) -> bytes:
    """Export a session of a data folder, with lines withheld."""

    async def work() -> bytes:
        house = await open_house(data, config.load(data))
        try:
            tenant = (await house.catalogue.tenants.all())[0]
            member = Member(
                id=uuid4(),
                tenant=tenant.id,
                tenant_slug=tenant.slug,
                tenant_name=tenant.name,
                name="Dana Reyes",
                email="dana@example.com",
                role=Role.DISPATCHER,
            )
            made = await export.make(house, member, UUID(session), transcript)
            assert isinstance(made, Exported), made
            with made.file as file:
                return file.read()
        finally:
            await close_house(house)

    with ThreadPoolExecutor(1) as thread:  # the browser's loop runs in this one
        return thread.submit(lambda: asyncio.run(work())).result()


def forged(origin: Path, folder: Path, session: str, change: Change, extra: dict[int, Entry] | None = None) -> bytes:
    """Write a session of one folder anew, changed, as the only one into the record of another, and export it."""

    async def write() -> None:
        store = SqliteStore.open(origin / "record.db")
        (key,) = store.tenants()
        stream = f"session/{session}"
        audit, rows = rows_of(store, key.tenant, "audit"), rows_of(store, key.tenant, stream)
        store.close()
        for left in folder.glob("record.db*"):
            left.unlink()
        record = Record(SqliteStore.create(folder / "record.db"), MasterKey.open(folder / "keys" / "master.key"))
        await record.start()
        await record.create_tenant(key.tenant, key.origin)
        began, told = audit[0]
        assert isinstance(began, e.TenantCreated)
        audit[0] = (replace(began, key=record.vkey(key.tenant)), told)
        record.append(key.tenant, "audit", [entry(*row) for row in audit])
        entries = [entry(*row) for row in change(rows)]
        for number, one in sorted((extra or {}).items()):
            entries.insert(number, one)
        await record.append(key.tenant, stream, entries, seal=True).durable
        await record.close()

    with ThreadPoolExecutor(1) as thread:  # the browser's loop runs in this one
        thread.submit(lambda: asyncio.run(write())).result()
    return exported(folder, session)


def seal_counts(events: int) -> Callable[[list[Row]], list[Row]]:
    """Let the seal count as many events as there will be."""
    return lambda rows: [(replace(x, events=events) if isinstance(x, e.Sealed) else x, texts) for x, texts in rows]
