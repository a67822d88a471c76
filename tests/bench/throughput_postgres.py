"""Durable events per second on PostgreSQL: a busy record against COPY of the same bytes in groups of 100, on the same server.

What ours does beside the COPY of the reference: commitments, encoding, leaves, trees, the signature, the lock of the tenant's log,
and the rows of streams, log and checkpoints.
"""

import time
from pathlib import Path

import psycopg
import uvloop
from databases import postgres
from figures import Row
from throughput import GROUP, GROUPS, ROUNDS, busy_record, event_size

from caisey_core.record.keys import MasterKey
from caisey_core.record.postgres import PostgresStore


def measure(folder: Path) -> list[Row]:
    """Take turns, round by round."""
    return uvloop.run(_measure(folder))


async def _measure(folder: Path) -> list[Row]:
    master = MasterKey.create(folder / "master.key")
    ours: list[float] = []
    reference: list[float] = []
    with postgres() as server:
        busy = busy_record(PostgresStore.create(server.new(), master.fingerprint), master)
        with psycopg.connect(server.new(), autocommit=True) as raw:
            raw.execute("CREATE TABLE event (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, bytes BYTEA NOT NULL)")
            data = bytes(event_size())
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                for _ in range(GROUPS):
                    with raw.cursor().copy("COPY event (bytes) FROM STDIN (FORMAT BINARY)") as copy:
                        copy.set_types(["bytea"])
                        for _ in range(GROUP):
                            copy.write_row((data,))
                reference.append(GROUPS * GROUP / (time.perf_counter() - begun))
                ours.append(await anext(busy))
        await busy.aclose()
    return [
        Row(
            what="durable events per second, PostgreSQL",
            unit="/s",
            ours=ours,
            reference=reference,
            must=0.25,
            aim=0.5,
            against="/s, COPY by 100",
            more=True,
        )
    ]
