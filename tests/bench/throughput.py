"""Durable events per second: a busy record against raw sqlite3 with synchronous=FULL in groups of 100.

Ours counts everything that an event costs on its way to the disk: salted commitments to its text, its encoding, its leaf, the
streams' trees, the tenant's log and the signed checkpoint. 100 events of 10 sessions are under way at any time.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import uvloop
from figures import Row

from caisey_core.domain import events as e
from caisey_core.domain.events import Actor
from caisey_core.record.keys import MasterKey
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.store import Store
from caisey_core.record.writer import Entry, Record
from caisey_core.services.journal import words

ROUNDS, GROUPS, GROUP, SESSIONS = 5, 30, 100, 10
TEXT = b"Jan 12 10:42:31 pc-0001 cups[812]: printer office-2 is stopped\r\n"
DEVICE = Actor("device", str(uuid4()), "PC-0001")


def measure(folder: Path) -> list[Row]:
    """Take turns, round by round."""
    return uvloop.run(_measure(folder))


def _entry(number: int) -> Entry:
    said = words(TEXT)
    event = e.OutputReceived(actor=DEVICE, at=number, frame=number, command=None, output=said.contents[0])
    return Entry(e.encode(event), said.disclosure)


def event_size() -> int:
    """Return how many bytes the reference writes for an event."""
    return len(_entry(1).event) + len(TEXT)


async def busy_record(store: Store, master: MasterKey) -> AsyncGenerator[float, None]:
    """Write round after round and say how many events were durable in a second."""
    record = Record(store, master)
    await record.start()
    tenant = uuid4()
    await record.create_tenant(tenant, "bench")
    try:
        while True:
            begun = time.perf_counter()
            await asyncio.gather(*(_session(record, tenant, number) for number in range(SESSIONS)))
            yield GROUPS * GROUP / (time.perf_counter() - begun)
    finally:
        await record.close()


async def _measure(folder: Path) -> list[Row]:
    SqliteStore.create(folder / "record.db").close()
    raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
    raw.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE event (id INTEGER PRIMARY KEY, bytes BLOB);"
    )
    size = event_size()
    ours: list[float] = []
    reference: list[float] = []
    busy = busy_record(SqliteStore.open(folder / "record.db"), MasterKey.create(folder / "master.key"))
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(GROUPS):
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany("INSERT INTO event (bytes) VALUES (?)", ((bytes(size),) for _ in range(GROUP)))
            raw.execute("COMMIT")
        reference.append(GROUPS * GROUP / (time.perf_counter() - begun))
        ours.append(await anext(busy))
    raw.close()
    await busy.aclose()
    return [
        Row(
            what="durable events per second",
            unit="/s",
            ours=ours,
            reference=reference,
            must=0.25,
            aim=0.5,
            against="/s, raw sqlite3 FULL by 100",
            more=True,
        )
    ]


async def _session(record: Record, tenant: object, number: int) -> None:
    each = GROUP // SESSIONS
    for group in range(GROUPS):
        tickets = [record.append(tenant, f"session/{number}", [_entry(group * each + i)]) for i in range(each)]  # type: ignore[arg-type]
        await tickets[-1].durable
