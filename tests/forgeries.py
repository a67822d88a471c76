"""What a server in the wrong hands could write: well signed by the tenant's key, and false. It cannot have the device's key."""

import hashlib
from collections.abc import Callable
from uuid import UUID, uuid4

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from caisey_agent.protocol import consent
from caisey_core.domain import events as e
from caisey_core.record.commitment import commit
from caisey_core.record.store import Store
from caisey_core.record.writer import Entry


class Said(tuple[bytes, ...]):
    """An event's texts with the seed of their salts: whoever writes the record anew keeps it, so that honest receipts fit."""

    seed: bytes | None = None


Row = tuple[e.AnyEvent, tuple[bytes, ...]]
Change = Callable[[list[Row]], list[Row]]


def rows_of(store: Store, tenant: UUID, stream: str) -> list[Row]:
    """Return a stream's events with their texts."""
    found: list[Row] = []
    for row in store.read(tenant, stream, 0, 10**6):
        event = e.decode(row.event)
        assert not isinstance(event, e.Unknown)
        said = Said(row.disclosure.texts if row.disclosure is not None else ())
        said.seed = row.disclosure.seed if row.disclosure is not None else None
        found.append((event, said))
    return found


def entry(event: e.AnyEvent, texts: tuple[bytes, ...]) -> Entry:
    """Return an event as the server would write it, committing anew to its texts."""
    committed, disclosure = commit(texts, getattr(texts, "seed", None))
    names = [n for n in event.__struct_fields__ if isinstance(getattr(event, n), e.Content) and getattr(event, n).root]
    contents = {n: e.Content(c.root, c.lines, c.size) for n, c in zip(names, committed, strict=True)}
    return Entry(e.encode(replace(event, **contents)), disclosure if texts else None)


def edit(kind: type[e.AnyEvent], **changes: object) -> Change:
    """Change fields of the first event of a kind."""

    def change(rows: list[Row]) -> list[Row]:
        at = next(i for i, (event, _) in enumerate(rows) if isinstance(event, kind))
        return [*rows[:at], (replace(rows[at][0], **changes), rows[at][1]), *rows[at + 1 :]]

    return change


def without(kind: type[e.AnyEvent]) -> Change:
    """Leave out all events of a kind; the seal counts what is left."""

    def change(rows: list[Row]) -> list[Row]:
        left = [row for row in rows if not isinstance(row[0], kind)]
        return [
            (replace(event, events=i) if isinstance(event, e.Sealed) else event, texts) for i, (event, texts) in enumerate(left)
        ]

    return change


def moved(kind: type[e.AnyEvent], before: type[e.AnyEvent]) -> Change:
    """Put the first event of a kind before the first of another."""

    def change(rows: list[Row]) -> list[Row]:
        one = next(row for row in rows if isinstance(row[0], kind))
        rest = [row for row in rows if row is not one]
        at = next(i for i, row in enumerate(rest) if isinstance(row[0], before))
        mono = rest[at][0].mono
        return [*rest[:at], (replace(one[0], mono=mono), one[1]), *rest[at:]]

    return change


def text(kind: type[e.AnyEvent], said: bytes) -> Change:
    """Change the text of the first event of a kind that has to do with a command."""

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


def another_reason(rows: list[Row]) -> list[Row]:
    """Other words beside the request that the device signed, under the same seed."""
    at = next(i for i, (event, _) in enumerate(rows) if isinstance(event, e.ConsentAsked))
    said = Said((b"Nothing at all",))
    said.seed = getattr(rows[at][1], "seed", None)
    return [*rows[:at], (rows[at][0], said), *rows[at + 1 :]]


def second_command(rows: list[Row]) -> list[Row]:
    """A command after the end."""
    command = next(row for row in rows if isinstance(row[0], e.CommandAccepted))
    at = next(i for i, (event, _) in enumerate(rows) if isinstance(event, e.SessionCompleted))
    late = (replace(command[0], command=uuid4(), mono=rows[at][0].mono, at=rows[at][0].at), command[1])
    return [*rows[: at + 1], late, *rows[at + 1 :]]


LONG_AFTER = 2_000_000_000_000_000

FORGERIES: dict[str, tuple[Change, str]] = {
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
    "another reason": (another_reason, "reason is not the one that was asked with"),
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
