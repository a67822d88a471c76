"""The whole server is in the wrong hands: it has the tenant's key and writes a record that is well signed and false.

What it cannot have is the device's key. Each forgery is a new record with perfect trees and checkpoints; the verdict is no.
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from caisey_agent.protocol import consent
from caisey_core.domain import events as e
from caisey_core.record.commitment import commit
from caisey_core.record.keys import MasterKey
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.writer import Entry, Record
from caisey_core.services.verification import Verdict, verify_folder

Row = tuple[e.AnyEvent, tuple[bytes, ...]]
Forge = Callable[[Callable[[list[Row]], list[Row]]], Awaitable[Verdict]]


def rows_of(store: SqliteStore, tenant: UUID, stream: str) -> list[Row]:
    """Return a stream's events with their texts."""
    found: list[Row] = []
    for row in store.read(tenant, stream, 0, 10**6):
        event = e.decode(row.event)
        assert not isinstance(event, e.Unknown)
        found.append((event, row.disclosure.texts if row.disclosure is not None else ()))
    return found


def entry(event: e.AnyEvent, texts: tuple[bytes, ...]) -> Entry:
    """Return an event as the server would write it, committing anew to its texts."""
    committed, disclosure = commit(texts)
    names = [n for n in event.__struct_fields__ if isinstance(getattr(event, n), e.Content) and getattr(event, n).root]
    contents = {n: e.Content(c.root, c.lines, c.size) for n, c in zip(names, committed, strict=True)}
    return Entry(e.encode(replace(event, **contents)), disclosure if texts else None)


@pytest.fixture
def forge(worked: Path, tmp_path: Path) -> Forge:
    """Write the finished session anew, changed, into a record with a key of its own, and return the verdict."""

    async def write(change: Callable[[list[Row]], list[Row]]) -> Verdict:
        store = SqliteStore.open(worked / "record.db")
        (key,) = store.tenants()
        streams = [head.stream for head in store.heads(key.tenant) if head.stream != "audit"]
        finished = next(s for s in streams if any(isinstance(x, e.SessionCompleted) for x, _ in rows_of(store, key.tenant, s)))
        audit, session = rows_of(store, key.tenant, "audit"), rows_of(store, key.tenant, finished)
        store.close()
        record = Record(SqliteStore.create(tmp_path / "record.db"), MasterKey(bytes(32)))
        await record.start()
        await record.create_tenant(key.tenant, key.origin)
        record.append(key.tenant, "audit", [entry(*row) for row in audit])
        changed = change(session)
        await record.append(key.tenant, finished, [entry(*row) for row in changed], seal=True).durable
        await record.close()
        return verify_folder(tmp_path)

    return write


def edit(kind: type[e.AnyEvent], **changes: object) -> Callable[[list[Row]], list[Row]]:
    """Change fields of the first event of a kind."""

    def change(rows: list[Row]) -> list[Row]:
        at = next(i for i, (event, _) in enumerate(rows) if isinstance(event, kind))
        return [*rows[:at], (replace(rows[at][0], **changes), rows[at][1]), *rows[at + 1 :]]

    return change


def without(kind: type[e.AnyEvent]) -> Callable[[list[Row]], list[Row]]:
    """Leave out all events of a kind; the seal counts what is left."""

    def change(rows: list[Row]) -> list[Row]:
        left = [row for row in rows if not isinstance(row[0], kind)]
        return [
            (replace(event, events=i) if isinstance(event, e.Sealed) else event, texts) for i, (event, texts) in enumerate(left)
        ]

    return change


def moved(kind: type[e.AnyEvent], before: type[e.AnyEvent]) -> Callable[[list[Row]], list[Row]]:
    """Put the first event of a kind before the first of another."""

    def change(rows: list[Row]) -> list[Row]:
        one = next(row for row in rows if isinstance(row[0], kind))
        rest = [row for row in rows if row is not one]
        at = next(i for i, row in enumerate(rest) if isinstance(row[0], before))
        mono = rest[at][0].mono
        return [*rest[:at], (replace(one[0], mono=mono), one[1]), *rest[at:]]

    return change


def text(kind: type[e.AnyEvent], said: bytes) -> Callable[[list[Row]], list[Row]]:
    """Change the text of the first event of a kind that belongs to a command; the terminal has no receipts."""

    def change(rows: list[Row]) -> list[Row]:
        at = next(i for i, (event, _) in enumerate(rows) if isinstance(event, kind) and getattr(event, "command", None))
        return [*rows[:at], (rows[at][0], (said, *rows[at][1][1:])), *rows[at + 1 :]]

    return change


def signed_by_another_key(rows: list[Row]) -> list[Row]:
    """Make the consent anew with a key that is not the device's."""
    asked = next(event for event, _ in rows if isinstance(event, e.ConsentAsked))
    granted = next(event for event, _ in rows if isinstance(event, e.ConsentGranted))
    signature = consent.sign(Ed25519PrivateKey.generate(), asked.request, granted.answer)
    return edit(e.ConsentGranted, signature=signature)(rows)


def other_answer(rows: list[Row]) -> list[Row]:
    """Widen what the device signed inside the answer's bytes."""
    granted = next(event for event, _ in rows if isinstance(event, e.ConsentGranted))
    answer = consent.decode_statement(granted.answer)
    wider = msgspec.msgpack.encode(replace(answer, scopes=(*answer.scopes, consent.Scope.ADMIN)))
    return edit(e.ConsentGranted, answer=wider, scopes=(*granted.scopes, "admin"))(rows)


def asked_for_another_session(rows: list[Row]) -> list[Row]:
    """A consent that was given to another session."""
    asked = next(event for event, _ in rows if isinstance(event, e.ConsentAsked))
    request = consent.decode_request(asked.request)
    return edit(e.ConsentAsked, request=msgspec.msgpack.encode(replace(request, session=uuid4())))(rows)


def nonce_again(rows: list[Row]) -> list[Row]:
    """The same question asked once more."""
    at = next(i for i, (event, _) in enumerate(rows) if isinstance(event, e.ConsentGranted))
    asked = next(row for row in rows if isinstance(row[0], e.ConsentAsked))
    again = (replace(asked[0], mono=rows[at][0].mono), asked[1])
    return [*rows[: at + 1], again, *rows[at + 1 :]]


def second_command(rows: list[Row]) -> list[Row]:
    """A command after the end."""
    command = next(row for row in rows if isinstance(row[0], e.CommandAccepted))
    at = next(i for i, (event, _) in enumerate(rows) if isinstance(event, e.SessionCompleted))
    late = (replace(command[0], command=uuid4(), mono=rows[at][0].mono, at=rows[at][0].at), command[1])
    return [*rows[: at + 1], late, *rows[at + 1 :]]


LONG_AFTER = 2_000_000_000_000_000

FORGERIES: dict[str, tuple[Callable[[list[Row]], list[Row]], str]] = {
    "no consent at all": (without(e.ConsentGranted), "Nobody at the device has agreed"),
    "consent after the first command": (moved(e.CommandAccepted, e.ConsentGranted), "Nobody at the device has agreed"),
    "another key": (signed_by_another_key, "not signed by the device's key"),
    "wider scope beside the signature": (
        edit(e.ConsentGranted, scopes=("run", "files", "admin")),
        "not what the device signed",
    ),
    "wider scope inside the signature": (other_answer, "not signed by the device's key"),
    "another person": (edit(e.ConsentGranted, who="somebody"), "not what the device signed"),
    "longer time": (edit(e.ConsentGranted, until=LONG_AFTER), "time is not what the device signed"),
    "work after the time": (edit(e.CommandAccepted, at=LONG_AFTER), "The agreed time is over"),
    "for another session": (asked_for_another_session, "another session"),
    "a nonce again": (nonce_again, "repeats a nonce"),
    "another command": (text(e.CommandAccepted, b"whoami"), "ran another command"),
    "another output": (text(e.OutputReceived, b"all is well\r\n"), "output is not what the device sent"),
    "another exit code": (edit(e.CommandFinished, exit_code=7), "not what the device signed"),
    "a receipt left out": (lambda rows: without_first(e.CommandFinished, rows), "does not follow the one before"),
    "another file": (edit(e.TransferFinished, content=hashlib.sha256(b"other").digest()), "not what the device signed for"),
    "work after the end": (second_command, "This session is over"),
    "a wrong count at the seal": (edit(e.Sealed, events=3), "the seal counts 3"),
    "a clock that goes back": (edit(e.SessionCompleted, mono=0), "went back"),
}


def without_first(kind: type[e.AnyEvent], rows: list[Row]) -> list[Row]:
    """Leave out the first event of a kind."""
    gone = next(row for row in rows if isinstance(row[0], kind))
    left = [row for row in rows if row is not gone]
    return [
        (replace(event, events=i) if isinstance(event, e.Sealed) else event, texts) for i, (event, texts) in enumerate(left)
    ]


async def test_the_honest_record_holds(forge: Forge) -> None:
    """Written anew without a change it verifies: what fails below fails for its forgery."""
    verdict = await forge(lambda rows: rows)
    assert verdict.ok, verdict.broken
    assert any("device co-signed" in line for line in verdict.proved)


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forgery_is_found(forge: Forge, name: str) -> None:
    """The verdict is no, for the right reason, at a named event."""
    change, reason = FORGERIES[name]
    verdict = await forge(change)
    assert not verdict.ok
    assert reason in verdict.broken, verdict.broken
    assert ", event " in verdict.broken


@pytest.mark.parametrize("changed", [False, True])
async def test_an_event_of_a_newer_version_is_verified_with_its_text(tmp_path: Path, changed: bool) -> None:
    """What it means is unknown; that it is what was written is checked all the same."""
    (committed,), disclosure = commit([b"a thought\n"])
    content = {"root": committed.root, "lines": committed.lines, "size": committed.size}
    newer = {"kind": "ai-thought", "v": 9, "actor": e.SERVER, "at": 5, "mono": 1, "thought": content, "more": {"root": 1}}
    record = Record(SqliteStore.create(tmp_path / "record.db"), MasterKey(bytes(32)))
    await record.start()
    tenant = uuid4()
    await record.create_tenant(tenant, "test/1")
    beside = replace(disclosure, texts=(b"another one\n",)) if changed else disclosure
    await record.append(tenant, "audit", [Entry(msgspec.msgpack.encode(newer), beside)]).durable
    await record.close()
    verdict = verify_folder(tmp_path)
    assert verdict.ok is not changed, verdict.broken
    assert ("not what was committed to" in verdict.broken) is changed


async def test_an_older_record_put_back(worked: Path, tmp_path: Path) -> None:
    """An old file verifies by itself; whoever kept a checkpoint sees that history was cut."""
    from caisey_core.record.verify import Broken, remembered_holds

    store = SqliteStore.open(worked / "record.db")
    (key,) = store.tenants()
    newest, (_, early) = store.checkpoint(key.tenant), store.checkpoints(key.tenant)[5]
    remembered_holds(store, key, newest)
    remembered_holds(store, key, early)
    store.close()
    master = MasterKey(bytes(32))
    record = Record(SqliteStore.create(tmp_path / "record.db"), master)
    await record.start()
    await record.create_tenant(key.tenant, key.origin)
    await record.append(key.tenant, "audit", [Entry(b"another history")]).durable
    shorter = SqliteStore.open(tmp_path / "record.db")
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
