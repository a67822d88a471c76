"""The whole server is in the wrong hands: it has the tenant's key and writes a record that is well signed and false.

What it cannot have is the device's key. Each forgery is a new record with perfect trees and checkpoints; the verdict is no.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import msgspec
import pytest
from databases import both
from forgeries import FORGERIES, Row, entry, rows_of
from msgspec.structs import replace
from places import MASTER, Place

from caisey_core.domain import events as e
from caisey_core.record.commitment import commit
from caisey_core.record.writer import Entry, Record
from caisey_core.services.verification import Verdict

pytestmark = both
Forge = Callable[[Callable[[list[Row]], list[Row]]], Awaitable[Verdict]]


@pytest.fixture
def forge(worked: Place, place: Place) -> Forge:
    """Write the finished session anew, changed, into a record with a key of its own, and return the verdict."""

    async def write(change: Callable[[list[Row]], list[Row]]) -> Verdict:
        store = worked.open()
        (key,) = store.tenants()
        streams = [head.stream for head in store.heads(key.tenant) if head.stream != "audit"]
        finished = next(s for s in streams if any(isinstance(x, e.SessionCompleted) for x, _ in rows_of(store, key.tenant, s)))
        audit, session = rows_of(store, key.tenant, "audit"), rows_of(store, key.tenant, finished)
        store.close()
        record = Record(place.create(), MASTER)
        await record.start()
        await record.create_tenant(key.tenant, key.origin)
        record.append(key.tenant, "audit", [entry(*row) for row in audit])
        changed = change(session)
        await record.append(key.tenant, finished, [entry(*row) for row in changed], seal=True).durable
        await record.close()
        return place.verdict()

    return write


async def test_the_honest_record_holds(forge: Forge) -> None:
    """Written anew without a change it verifies: what fails below fails for its forgery."""
    verdict = await forge(lambda rows: rows)
    assert verdict.ok, verdict.broken
    assert any("device co-signed" in line for line in verdict.proved)
    assert not any("without the device's receipt" in line for line in verdict.proved)


async def test_a_missing_receipt_is_said(forge: Forge) -> None:
    """The last receipts of a chain, of a file and of a command, are left out: nothing is false, and the verdict says what lacks."""
    finished = (e.TransferFinished, e.CommandFinished)

    def shorter(rows: list[Row]) -> list[Row]:
        last = [row for row in rows if isinstance(row[0], finished)][-2:]
        left = [row for row in rows if not any(row is one for one in last)]
        return [(replace(x, events=i) if isinstance(x, e.Sealed) else x, texts) for i, (x, texts) in enumerate(left)]

    verdict = await forge(shorter)
    assert verdict.ok, verdict.broken
    assert any("2 of 3 commands and files without the device's receipt" in line for line in verdict.proved)


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forgery_is_found(forge: Forge, name: str) -> None:
    """The verdict is no, for the right reason, at a named event."""
    change, reason = FORGERIES[name]
    verdict = await forge(change)
    assert not verdict.ok
    assert reason in verdict.broken, verdict.broken
    assert ", event " in verdict.broken


@pytest.mark.parametrize("changed", [False, True])
async def test_an_event_of_a_newer_version_is_verified_with_its_text(place: Place, changed: bool) -> None:
    """What it means is unknown; that it is what was written is checked all the same."""
    (committed,), disclosure = commit([b"a thought\n"])
    content = {"root": committed.root, "lines": committed.lines, "size": committed.size}
    newer = {"kind": "ai-thought", "v": 9, "actor": e.SERVER, "at": 5, "mono": 1, "thought": content, "more": {"root": 1}}
    record = Record(place.create(), MASTER)
    await record.start()
    tenant = uuid4()
    await record.create_tenant(tenant, "test/1")
    beside = replace(disclosure, texts=(b"another one\n",)) if changed else disclosure
    await record.append(tenant, "audit", [Entry(msgspec.msgpack.encode(newer), beside)]).durable
    await record.close()
    verdict = place.verdict()
    assert verdict.ok is not changed, verdict.broken
    assert ("not what was committed to" in verdict.broken) is changed


async def test_an_older_record_put_back(worked: Place, place: Place) -> None:
    """An old file verifies by itself; whoever kept a checkpoint sees that history was cut."""
    from caisey_core.record.verify import Broken, remembered_holds

    store = worked.open()
    (key,) = store.tenants()
    newest, (_, early) = store.checkpoint(key.tenant), store.checkpoints(key.tenant)[5]
    remembered_holds(store, key, newest)
    remembered_holds(store, key, early)
    store.close()
    record = Record(place.create(), MASTER)
    await record.start()
    await record.create_tenant(key.tenant, key.origin)
    await record.append(key.tenant, "audit", [Entry(b"another history")]).durable
    shorter = place.open()
    (fork,) = shorter.tenants()
    with pytest.raises(Broken, match="it was cut"):
        remembered_holds(shorter, fork, resigned(newest, record, key.tenant))
    shorter.close()
    await record.close()


def resigned(note: str, record: Record, tenant: UUID) -> str:
    """The remembered checkpoint under the key of this test's record."""
    from caisey_core.record import checkpoint as notes

    body = notes.parse(note.partition("\n\n")[0] + "\n")
    return notes.sign(body, record._logs[tenant].key)
