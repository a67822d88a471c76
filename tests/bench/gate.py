"""What one durable gate costs: an event given to the record until it is known to be on disk, against one fdatasync."""

import os
import time
from pathlib import Path
from statistics import median
from uuid import uuid4

import uvloop
from figures import Row

from caisey_core.record.keys import MasterKey
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.writer import Entry, Record

ROUNDS, EACH = 5, 120
PAGE = bytes(4096)


def measure(folder: Path) -> list[Row]:
    """Take turns, event by event."""
    return uvloop.run(_measure(folder))


async def _measure(folder: Path) -> list[Row]:
    SqliteStore.create(folder / "record.db").close()
    record = Record(SqliteStore.open(folder / "record.db"), MasterKey.create(folder / "master.key"))
    await record.start()
    tenant = uuid4()
    await record.create_tenant(tenant, "bench")
    plain = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    ours, reference = [], []
    for _ in range(ROUNDS):
        gates, syncs = [], []
        for _ in range(EACH):
            begun = time.perf_counter()
            os.write(plain, PAGE)
            os.fdatasync(plain)
            synced = time.perf_counter()
            await record.append(tenant, "session/bench", [Entry(os.urandom(160))]).durable
            syncs.append((synced - begun) * 1000)
            gates.append((time.perf_counter() - synced) * 1000)
        ours.append(median(gates))
        reference.append(median(syncs))
    os.close(plain)
    await record.close()
    return [
        Row(
            what="one durable gate, p50",
            unit="ms",
            ours=ours,
            reference=reference,
            must=7,
            aim=4,
            against="ms, write + fdatasync",
        )
    ]
