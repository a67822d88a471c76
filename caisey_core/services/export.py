"""Export of a session as a bundle: all of it, or a transcript in which a reviewer withheld lines.

A bundle is made in files without a name in the data folder: a server that is killed leaves nothing of it behind.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.record import bundle
from caisey_core.record import checkpoint as notes
from caisey_core.record.bundle import Edit, Keys, Manifest, Proofs, Shown, Step, Told
from caisey_core.record.container import LARGEST_BUNDLE, LARGEST_FILE, LARGEST_RECORD, MOST_EVENTS, record
from caisey_core.record.merkle import inclusion_proofs, leaf_hash
from caisey_core.record.store import LogLeaf, Store
from caisey_core.record.verify import READ_AT_ONCE, events_of
from caisey_core.services.checker_page import checker_page
from caisey_core.services.house import House
from caisey_core.services.journal import AUDIT, STAMPED, stream_of
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.readable import Readable
from caisey_core.services.review import card

TOO_LARGE: Final = Refused(
    "This session is too large for one bundle.", "Run “caisey verify” on the server; it checks records of any size.", 413
)


class Transcript(Struct, frozen=True, kw_only=True):
    """What of a session is shown: everything, but for the lines that a reviewer withheld.

    `withheld` names lines of an event, numbered over all its texts; None stands for all of them. `hidden` names events of
    which nothing but the leaf hash is shown. `device`: show the device's enrolment, without which its signatures cannot be
    checked. `events` cuts the session at a size that it had after a commit (a frozen copy of a running one); None takes all
    that there is.
    """

    events: int | None = None
    withheld: Mapping[int, frozenset[int] | None] = {}
    edits: tuple[Edit, ...] = ()
    hidden: frozenset[int] = frozenset()
    device: bool = True

    @property
    def everything(self) -> bool:
        """Say whether nothing is withheld."""
        return not self.withheld and not self.hidden and self.device


EVERYTHING: Final = Transcript()


class Exported(Struct, frozen=True):
    """A bundle as it is given away."""

    name: str
    size: int
    file: IO[bytes]


class _Parts(Struct, frozen=True):
    files: dict[str, IO[bytes]]
    events: int
    sealed: bool
    device: UUID | None


async def session(house: House, member: Member, session: UUID) -> Exported | Refused:
    """Export a session as it is now, for who may review it."""
    if (refused := refuse_unless(member, May.REVIEW)) is not None:
        return refused
    if await card(house, member, session) is None:
        return NOT_FOUND
    return await make(house, member, session, EVERYTHING)


async def page_of(house: House, member: Member, session: UUID, transcript: Transcript) -> bytes | Refused:
    """Return the page for reading as a bundle would have it; nothing leaves, nothing is written down."""
    with contextlib.ExitStack() as opened:
        names = ("events", "disclosures", "leaves", *bundle.READABLE)
        files: dict[str, IO[bytes]] = {n: opened.enter_context(tempfile.TemporaryFile(dir=house.folder)) for n in names}
        key = house.record.vkey(member.tenant)
        async with house.exporting:
            parts = await house.record.in_reader(lambda store: _collect(store, member, session, transcript, key, files))
        if isinstance(parts, Refused):
            return parts
        files["index.html"].seek(0)
        return await asyncio.to_thread(files["index.html"].read)


async def make(house: House, member: Member, session: UUID, transcript: Transcript) -> Exported | Refused:
    """Make a bundle and say so in the audit log. The caller has checked that this member may have this transcript."""
    tenant, key = member.tenant, house.record.vkey(member.tenant)
    with contextlib.ExitStack() as opened:

        def spool() -> IO[bytes]:
            return opened.enter_context(tempfile.TemporaryFile(dir=house.folder))

        async with house.exporting:
            files = {name: spool() for name in ("events", "disclosures", "leaves", *bundle.READABLE)}
            parts = await house.record.in_reader(lambda store: _collect(store, member, session, transcript, key, files))
            if isinstance(parts, Refused):
                return parts
            hashes = await asyncio.to_thread(lambda: {n: _root(f) for n, f in parts.files.items() if n in bundle.READABLE})
            event = e.SessionExported(
                actor=member.actor,
                at=STAMPED,
                session=session,
                events=parts.events,
                files=bundle.listing(hashes),
                everything=transcript.everything,
            )
            if (refused := await house.journal.audit(tenant, event)) is not None:
                return refused
            shown = parts if transcript.device else replace(parts, device=None)
            proven = await house.record.in_reader(lambda store: _prove(store, tenant, session, shown, event.files))
            if isinstance(proven, Refused):
                return proven
            proofs, note, device_key = proven
            manifest = Manifest(
                format=bundle.FORMAT,
                version=bundle.VERSION,
                origin=notes.parse_vkey(key)[0],
                tenant=member.tenant_name,
                session=str(session),
                events=parts.events,
                sealed=parts.sealed,
                files=hashes,
            )
            keys = Keys(tenant=(key,), device=device_key)
            made = tempfile.TemporaryFile(dir=house.folder)  # noqa: SIM115 - the caller reads and closes it
            try:
                await asyncio.to_thread(
                    lambda: bundle.write(made, manifest=manifest, keys=keys, proofs=proofs, note=note, parts=parts.files)
                )
            except BaseException:
                made.close()
                raise
    size = made.seek(0, 2)
    made.seek(0)
    return Exported(f"session-{session}.caisey.zip", size, made)


def _collect(
    store: Store, member: Member, session: UUID, transcript: Transcript, key: str, files: dict[str, IO[bytes]]
) -> _Parts | Refused:
    """Write events, what is shown of them, and the files for reading."""
    stream = stream_of(session)
    head = store.head(member.tenant, stream)
    size = head.size if head is not None and transcript.events is None else transcript.events or 0
    if head is None or not 0 < size <= head.size:
        return NOT_FOUND
    if size > MOST_EVENTS:
        return TOO_LARGE
    reading = Readable(files["index.html"], files["events.jsonl"], files["terminal.cast"])
    edits: dict[int, dict[int, str]] = {}
    for edit in transcript.edits:
        edits.setdefault(edit.event, {})[edit.line] = edit.text
    sealed, device = False, None
    for row in events_of(store, member.tenant, stream):
        if row.position == size:
            break
        event = e.decode(row.event)
        sealed = sealed or isinstance(event, e.Sealed)
        device = event.device if isinstance(event, e.SessionRequested) else device
        if row.position in transcript.hidden:
            files["events"].write(record(b""))
            files["disclosures"].write(record(b""))
            files["leaves"].write(leaf_hash(row.event))
            reading.hide(row.position, leaf_hash(row.event))
            continue
        withheld = transcript.withheld.get(row.position, frozenset())
        shown: Shown = None
        if row.disclosure is not None and withheld is not None:
            shown = bundle.show(row.disclosure, withheld)
        data = bundle.encode_shown(shown)
        if len(data) > LARGEST_RECORD or len(row.event) > LARGEST_RECORD:
            return TOO_LARGE
        files["events"].write(record(row.event))
        files["disclosures"].write(record(data))
        files["leaves"].write(leaf_hash(row.event))
        reading.take(row.position, row.event, shown, edits.get(row.position, {}))
    reading.finish(member.tenant_name, key)
    files["edits.json"].write(msgspec.json.encode(transcript.edits))
    files["check.html"].write(checker_page().body)
    kept = {name: file for name, file in files.items() if name != "terminal.cast" or reading.cast_used}
    sizes = [file.tell() for file in kept.values()]
    if max(sizes) > LARGEST_FILE or sum(sizes) > LARGEST_BUNDLE - (64 << 20):
        return TOO_LARGE
    return _Parts(kept, size, sealed, device)


def _root(file: IO[bytes]) -> str:
    file.seek(0)
    return bundle.file_root(iter(lambda: file.read(bundle.PIECE), b""))


def _prove(store: Store, tenant: UUID, session: UUID, parts: _Parts, files: bytes) -> tuple[Proofs, str, str] | Refused:
    """Return the proofs up to the newest checkpoint, that checkpoint, and the device's key."""
    note = store.checkpoint(tenant)
    size = notes.parse(note.partition("\n\n")[0] + "\n").size
    leaves, steps, audit = list[bytes](), list[tuple[int, int, bytes]](), (0, 0, b"")
    for leaf in _log_leaves(store, tenant, size):
        if leaf.stream == stream_of(session) and leaf.size <= parts.events:
            steps.append((leaf.size, len(leaves), leaf.root))
        elif leaf.stream == AUDIT:
            audit = (leaf.size, len(leaves), leaf.root)
        leaves.append(leaf_hash(leaf.data()))
    if not steps or steps[-1][0] != parts.events:
        return Refused("The record never stood at this number of events.", "End the transcript where a commit ended.", 422)
    steps = _some(steps)
    *paths, audit_path = inclusion_proofs(leaves, [*(leaf for _, leaf, _ in steps), audit[1]])
    told, device_key = _told(store, tenant, session, audit[0], parts.device, files)
    proofs = Proofs(
        session=tuple(_step(step, path) for step, path in zip(steps, paths, strict=True)),
        audit=_step(audit, audit_path),
        told=told,
    )
    return proofs, note, device_key


def _log_leaves(store: Store, tenant: UUID, size: int) -> Iterator[LogLeaf]:
    start = 0
    while start < size and (batch := store.log_leaves(tenant, start, min(READ_AT_ONCE, size - start))):
        yield from batch
        start += len(batch)


def _some(steps: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return so many steps as are proven one by one, evenly spread, with the last."""
    if len(steps) <= bundle.MOST_STEPS:
        return steps
    return [steps[(i + 1) * len(steps) // bundle.MOST_STEPS - 1] for i in range(bundle.MOST_STEPS)]


def _step(step: tuple[int, int, bytes], path: list[bytes]) -> Step:
    size, leaf, root = step
    return Step(size=size, root=root.hex(), leaf=leaf, path=tuple(node.hex() for node in path))


def _told(
    store: Store, tenant: UUID, session: UUID, size: int, device: UUID | None, files: bytes
) -> tuple[tuple[Told, ...], str]:
    """Return the audit events that matter, each with its place in the audit log; and the device's key."""
    leaves, chosen, device_key = list[bytes](), list[tuple[int, bytes]](), ""
    for row in events_of(store, tenant, AUDIT):
        if row.position == size:
            break
        leaves.append(leaf_hash(row.event))
        event = e.decode(row.event)
        match event:
            case e.TenantCreated():
                chosen.append((row.position, row.event))
            case e.DeviceEnrolled() if event.device == device:
                device_key = event.key.hex()
                chosen.append((row.position, row.event))
            case e.ContentErased() if event.session == session:
                chosen.append((row.position, row.event))
            case e.SessionExported() if event.session == session and event.files == files:
                chosen = [*(c for c in chosen if not isinstance(e.decode(c[1]), e.SessionExported)), (row.position, row.event)]
    paths = inclusion_proofs(leaves, [position for position, _ in chosen])
    told = (
        Told(position=n, event=data.hex(), path=tuple(x.hex() for x in path))
        for (n, data), path in zip(chosen, paths, strict=True)
    )
    return tuple(told), device_key
