"""The writer: durable before told, nothing told that is not there, whatever the store does."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from databases import both
from places import MASTER, Place

from caisey_core.record import writer as writer_module
from caisey_core.record.commitment import commit
from caisey_core.record.keys import KeyTrouble, MasterKey
from caisey_core.record.store import Prepare, RecordUnavailable, Store, StreamSealed, UnknownTenant
from caisey_core.record.verify import verify_log, verify_stream
from caisey_core.record.writer import Entry, Record

TENANT = UUID(int=1)
pytestmark = both


class Failing:
    """A store that fails when told to: before its commit, or after it (the answer was lost)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.trouble = ""
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, tenants: Sequence[UUID], prepare: Prepare) -> None:
        self.commits += 1
        if self.trouble == "before":
            raise OSError(28, "No space left on device")
        self._store.commit(tenants, prepare)
        if self.trouble == "after":
            raise OSError(5, "Input/output error")

    def recover(self) -> None:
        if self.trouble:
            raise OSError(28, "No space left on device")
        self._store.recover()


@asynccontextmanager
async def record_on(store: Store) -> AsyncIterator[Record]:
    """A started record with one tenant."""
    record = Record(store, MASTER)
    await record.start()
    if not store.tenants():
        await record.create_tenant(TENANT, "test/1")
    try:
        yield record
    finally:
        await record.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "TRY_AGAIN_SECONDS", 0.01)


async def test_order_positions_and_seal(place: Place) -> None:
    """Positions are given at once; after the seal nothing follows, also after a restart."""
    async with record_on(place.create()) as record:
        tickets = [record.append(TENANT, "session/a", [Entry(b"%d" % i)], urgent=i % 2 == 0) for i in range(50)]
        assert [ticket.first for ticket in tickets] == list(range(50))
        await record.append(TENANT, "session/a", [Entry(b"last")], seal=True).durable
        with pytest.raises(StreamSealed):
            record.append(TENANT, "session/a", [Entry(b"x")])
        with pytest.raises(UnknownTenant):
            record.append(UUID(int=2), "session/a", [Entry(b"x")])
    async with record_on(place.open()) as record:
        rows = await record.read(TENANT, "session/a")
        assert [row.event for row in rows] == [*(b"%d" % i for i in range(50)), b"last"]
        assert await record.open_stream(TENANT, "session/a") == 51
        with pytest.raises(StreamSealed):
            record.append(TENANT, "session/a", [Entry(b"x")])


async def test_what_is_checked_is_one_moments_record(place: Place) -> None:
    """Events that are written while somebody checks are no gap between the log and its streams."""
    async with record_on(place.create()) as record:
        await record.append(TENANT, "audit", [Entry(b"one"), Entry(b"two")]).durable
        store = place.open()
        with store.snapshot():
            (key,) = store.tenants()
            await record.append(TENANT, "audit", [Entry(b"three")]).durable
            log = verify_log(store, key)
            await record.append(TENANT, "audit", [Entry(b"four")]).durable
            (head,) = store.heads(TENANT)
            assert verify_stream(store, key, head, log, lambda data: (data, ()), lambda *_: None) == 2
        assert store.heads(TENANT)[0].size == 4
        store.close()


async def test_what_is_erased_is_gone_and_the_rest_holds(place: Place) -> None:
    """Texts of one stream are destroyed, however many; its events, and other streams' texts, stay as they were."""
    store = place.create()
    async with record_on(store) as record:
        (_, said) = commit([b"a secret"])
        many = [Entry(b"%d" % i, said if i % 3 else None) for i in range(2500)]
        await record.append(TENANT, "session/a", many).durable
        await record.append(TENANT, "session/b", [Entry(b"0", said)]).durable
        assert await record.erase(TENANT, "session/a") == 1666
        assert await record.erase(TENANT, "session/a") == 0
        assert await record.erase(TENANT, "session/none") == 0
        rows = await record.read(TENANT, "session/a", 0, 10_000)
        assert [row.event for row in rows] == [entry.event for entry in many]
        assert not any(row.disclosure for row in rows)
        assert [row.disclosure for row in await record.read(TENANT, "session/b")] == [said]
        await record.append(TENANT, "session/a", [Entry(b"later", said)]).durable
        verify_log(store, store.tenants()[0])


async def test_one_commit_serves_all_that_wait(place: Place) -> None:
    """Group commit: far fewer commits than events."""
    store = Failing(place.create())
    async with record_on(store) as record:
        await asyncio.gather(*(record.append(TENANT, f"session/{i % 5}", [Entry(b"x")]).durable for i in range(500)))
        assert store.commits < 100
        log = verify_log(store, store.tenants()[0])
        assert sorted(log.claims) == [f"session/{i}" for i in range(5)]


@pytest.mark.parametrize("trouble", ["before", "after"])
async def test_a_failing_store_holds_and_comes_back(place: Place, trouble: str) -> None:
    """Whoever waits is told no; nothing new is taken; then it goes on, on what is really there."""
    store = Failing(place.create())
    async with record_on(store) as record:
        held, resumed = asyncio.Event(), asyncio.Event()
        record.on_held.append(held.set)
        record.on_resumed.append(resumed.set)
        await record.append(TENANT, "session/a", [Entry(b"0")]).durable
        store.trouble = trouble
        with pytest.raises(RecordUnavailable):
            await record.append(TENANT, "session/a", [Entry(b"1")]).durable
        await held.wait()
        with pytest.raises(RecordUnavailable):
            record.append(TENANT, "session/a", [Entry(b"2")])
        store.trouble = ""
        await resumed.wait()
        stored = 2 if trouble == "after" else 1
        ticket = record.append(TENANT, "session/a", [Entry(b"3")])
        assert ticket.first == stored
        await ticket.durable
        events = [row.event for row in await record.read(TENANT, "session/a")]
        assert events == ([b"0", b"1", b"3"] if trouble == "after" else [b"0", b"3"])
        assert verify_log(store, store.tenants()[0]).claims["session/a"][-1][0] == len(events)


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from places import Place
from test_writer import TENANT, record_on
from caisey_core.record.writer import Entry

async def main():
    async with record_on(Place(Path({folder!r}), {database!r}).create()) as record:
        for i in range(1_000_000):
            ticket = record.append(TENANT, f"session/{{i % 3}}", [Entry(b"%d" % i)])
            await ticket.durable
            print(i, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 17, 120])
def test_what_was_acknowledged_survives_kill_9(place: Place, after: int) -> None:
    """A process that is killed in a burst leaves a record that holds and has all it had acknowledged."""
    here = Path(__file__).parent
    code = CHILD.format(paths=[str(here), str(here.parent)], folder=str(place.folder), database=place.database)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = []
        for line in child.stdout:
            told.append(int(line))
            if len(told) == after:
                os.kill(child.pid, signal.SIGKILL)
    store = place.open()
    kept = {int(row.event) for i in range(3) for row in store.read(TENANT, f"session/{i}", 0, 10**6)}
    assert set(told) <= kept
    assert len(kept) <= len(told) + 1
    verify_log(store, store.tenants()[0])
    assert store.strays() == ""
    store.close()


async def test_another_master_key_is_told(place: Place) -> None:
    """A record under another installation's key does not start."""
    async with record_on(place.create()):
        pass
    store = place.open()
    with pytest.raises(KeyTrouble, match="not sealed by this master key"):
        await Record(store, MasterKey(bytes(31) + b"x")).start()
    store.close()
