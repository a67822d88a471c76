"""Two processes write one tenant's record: they keep one log, whatever happens to either."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from databases import both
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import MASTER, Place

from caisey_core.record import writer as writer_module
from caisey_core.record.store import RecordUnavailable, Store, StoreTrouble, TenantKey
from caisey_core.record.verify import verify_log, verify_stream
from caisey_core.record.writer import Entry, Record

pytestmark = both
TENANT = UUID(int=7)
SHARED = "audit"


def events_of_valid(store: Store, key: TenantKey) -> dict[str, list[bytes]]:
    """Verify a tenant's log and every stream under it, and return the streams' events."""
    found: dict[str, list[bytes]] = {}
    with store.snapshot():
        log = verify_log(store, key)
        for head in store.heads(key.tenant):
            events = found[head.stream] = []
            verify_stream(store, key, head, log, lambda data: (data, ()), lambda _, data, events=events: events.append(data))
    assert found.keys() == log.claims.keys()
    return found


ACTS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["own", "shared", "both", "begin"]), st.integers(1, 12), st.booleans()),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_any_order_of_two_writers(acts: list[tuple[int, str, int, bool]], shelf: Place) -> None:
    """Streams of one's own and the shared one, one event or many, together or one after the other: each lands where it was told."""

    async def run() -> None:
        tenant = uuid4()
        first = Record(shelf.open(), MASTER)
        await first.start()
        await first.create_tenant(tenant, f"test/{tenant}")
        second = Record(shelf.open(), MASTER)
        await second.start()
        records, own, said = (first, second), ["0-0", "1-0"], {}
        waiting: list[asyncio.Future[object]] = []

        async def write(record: Record, stream: str, entries: list[Entry]) -> None:
            if stream == SHARED:
                place = await record.append_shared(tenant, stream, entries)
            else:
                ticket = record.append(tenant, stream, entries)
                place = await ticket.durable
                assert place == ticket.first
            for at, entry in enumerate(entries, place):
                assert said.setdefault((stream, at), entry.event) == entry.event

        for number, (node, what, count, wait) in enumerate(acts):
            if what == "begin":
                own[node] = f"{node}-{number}"
            entries = [Entry(b"%d %d %d" % (node, number, i)) for i in range(count)]
            streams = {"own": [own[node]], "begin": [own[node]], "shared": [SHARED], "both": [own[node], SHARED]}[what]
            waiting += [asyncio.ensure_future(write(records[node], stream, entries)) for stream in streams]
            await asyncio.sleep(0)
            if wait:
                await asyncio.gather(*waiting)
        await asyncio.gather(*waiting)
        store = shelf.open()
        (key,) = (key for key in store.tenants() if key.tenant == tenant)
        kept = events_of_valid(store, key)
        assert {(stream, at): event for stream, events in kept.items() for at, event in enumerate(events)} == said
        store.close()
        await first.close()
        await second.close()

    asyncio.run(run())


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Place:
    """A record for many tenants."""
    place = Place(tmp_path_factory.mktemp("shelf"), new_database())
    place.create().close()
    return place


CHILD = """
import asyncio, random, sys
from pathlib import Path
from uuid import UUID
sys.path[:0] = {paths!r}
from places import MASTER, Place
from caisey_core.record.writer import Entry, Record

async def main():
    dice = random.Random({seed})
    record = Record(Place(Path({folder!r}), {database!r}).open(), MASTER)
    await record.start()
    for i in range(1_000_000):
        waiting = []
        for n in range(dice.randrange(1, 9)):
            event = b"{name} %d %d" % (i, n)
            if dice.random() < 0.5:
                waiting.append((event, "audit", asyncio.ensure_future(record.append_shared(UUID(int=7), "audit", [Entry(event)]))))
            else:
                stream = "{name}/%d" % dice.randrange(3)
                waiting.append((event, stream, record.append(UUID(int=7), stream, [Entry(event)], urgent=dice.random() < 0.8).durable))
        for event, stream, durable in waiting:
            print(stream, await durable, event.decode(), flush=True)

asyncio.run(main())
"""


def test_one_of_two_processes_is_killed_again_and_again(place: Place) -> None:
    """What either process was told is there, where it was told; the log holds after every kill, and the other goes on."""

    async def begin() -> None:
        record = Record(place.create(), MASTER)
        await record.start()
        await record.create_tenant(TENANT, "test/7")
        await record.close()

    asyncio.run(begin())
    here = Path(__file__).parent
    dice = random.Random(11)
    told: dict[tuple[str, int], str] = {}
    with contextlib.ExitStack() as stack:

        def child(name: str) -> subprocess.Popen[str]:
            paths = [str(here), str(here.parent)]
            code = CHILD.format(paths=paths, seed=dice.random(), name=name, folder=str(place.folder), database=place.database)
            process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        def hear(process: subprocess.Popen[str], lines: int) -> None:
            assert process.stdout is not None
            for _ in range(lines):
                line = process.stdout.readline()
                if not line:
                    return
                stream, at, event = line.rstrip().split(" ", 2)
                assert told.setdefault((stream, int(at)), event) == event, "two events were told the same place"

        steady = child("steady")
        for number in range(4):
            victim = child(f"victim{number}")
            hear(victim, dice.randrange(20, 120))
            os.kill(victim.pid, signal.SIGKILL)
            hear(victim, 10**6)
            hear(steady, 100)
            store = place.open()
            kept = events_of_valid(store, store.tenants()[0])
            assert all(kept[stream][at].decode() == event for (stream, at), event in told.items())
            store.close()
        assert steady.poll() is None
        steady.kill()
    store = place.open()
    kept = events_of_valid(store, store.tenants()[0])
    assert {b"steady", b"victim0", b"victim3"} <= {event.split()[0] for event in kept[SHARED]}, "both wrote the shared stream"
    assert store.strays() == ""
    store.close()


async def test_a_stream_has_one_writer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process that appends to a stream of the first is refused as a whole, and sees where it stands."""
    monkeypatch.setattr(writer_module, "TRY_AGAIN_SECONDS", 0.01)
    one = Record(place.create(), MASTER)
    await one.start()
    await one.create_tenant(TENANT, "test/7")
    other = Record(place.open(), MASTER)
    await other.start()
    await one.append(TENANT, "session/a", [Entry(b"0")]).durable
    assert await other.open_stream(TENANT, "session/a") == 1
    await one.append(TENANT, "session/a", [Entry(b"1")]).durable
    resumed = asyncio.Event()
    other.on_resumed.append(resumed.set)
    late = other.append(TENANT, "session/a", [Entry(b"x")])
    beside = asyncio.ensure_future(other.append_shared(TENANT, SHARED, [Entry(b"y")]))
    with pytest.raises(RecordUnavailable):
        await late.durable
    with contextlib.suppress(RecordUnavailable):
        await beside
    await resumed.wait()
    ticket = other.append(TENANT, "session/a", [Entry(b"2")], seal=True)
    assert ticket.first == 2
    await ticket.durable
    with pytest.raises(RecordUnavailable):
        await one.append(TENANT, "session/a", [Entry(b"after the seal")]).durable
    store = place.open()
    assert events_of_valid(store, store.tenants()[0])["session/a"] == [b"0", b"1", b"2"]
    store.close()
    await one.close()
    await other.close()


TAMPERED = {
    "the log's head": "UPDATE {0}log_head SET frontier = {1}",
    "a leaf that nobody signed": "INSERT INTO {0}log_leaf SELECT tenant, 1, 'audit', 9, root FROM {0}log_leaf; "
    "UPDATE {0}log_head SET size = 2",
    "the newest checkpoint taken away": "DELETE FROM {0}checkpoint WHERE size = 1",
    "an event put in": "UPDATE {0}stream SET size = 2, frontier = {1}",
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_nothing_is_built_on_what_nobody_signed(place: Place, what: str) -> None:
    """Who finds the log elsewhere than the tenant's key signed does not sign on: not at work, not at the next start."""
    record = Record(place.create(), MASTER)
    await record.start()
    await record.create_tenant(TENANT, "test/7")
    await record.append(TENANT, "session/a", [Entry(b"0")]).durable
    place.tamper(TAMPERED[what])
    store = place.open()
    late = Record(store, MASTER)
    if what == "an event put in":
        await late.start()
    refused = late.open_stream(TENANT, "session/a") if what == "an event put in" else late.start()
    with pytest.raises(StoreTrouble, match=r"changed by somebody.*caisey verify"):
        await refused
    if what == "an event put in":
        await late.close()
    store.close()
    if what == "the newest checkpoint taken away":  # who wrote the log knows it; the next checkpoint covers all of it
        await record.append(TENANT, "session/a", [Entry(b"1")]).durable
    else:
        with pytest.raises(RecordUnavailable):
            await record.append(TENANT, "session/a", [Entry(b"1")]).durable
    await record.close()
