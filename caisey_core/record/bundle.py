"""A bundle: one session of one tenant's record in one file, with all that a stranger needs to check it. Knows bytes, not meanings.

`events` has the exact bytes of each event, `disclosures` what is shown of its texts, `leaves` the events' leaf hashes (a hint:
they name the event that was changed), `proofs.json` the way from both streams into the tenant's log, `checkpoint` the signed
root of that log. An event that is withheld as a whole is an empty record: its leaf hash proves that it was there. `edits.json`
is what a reviewer wrote in the place of withheld lines: it is no part of the proof. The rest is for reading. docs/record-format.md describes it for those who write a checker of their own.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import zip_longest
from typing import IO, Final, TypeVar

import msgspec
from msgspec import Struct

from caisey_core.record import checkpoint as notes
from caisey_core.record.commitment import LONGEST_PIECE, SALT, Commitment, Disclosure, holds, lines_of
from caisey_core.record.container import LARGEST_RECORD, LIMITS, MOST_EVENTS, Container, NotABundle, pack
from caisey_core.record.merkle import Frontier, leaf_hash, levels_of, root_at, root_of, verify_inclusion
from caisey_core.record.store import LogLeaf
from caisey_core.record.verify import Broken

FORMAT: Final = "caisey bundle"
VERSION: Final = 1
PIECE: Final = 1 << 20  # bytes of a file for reading that are hashed together
MOST_STEPS: Final = 64  # commits of the session that are proven one by one, so that a change can be placed
T = TypeVar("T")
READABLE: Final = ("index.html", "events.jsonl", "terminal.cast", "edits.json", "check.html")
Line = tuple[bytes, bytes] | bytes  # salt and line: shown; bare leaf hash: withheld


class Whole(Struct, frozen=True, array_like=True, tag="all"):
    """All texts of an event, with the seed of their salts."""

    seed: bytes
    texts: tuple[bytes, ...]


class Lines(Struct, frozen=True, array_like=True, tag="some"):
    """The lines of each text: shown or withheld."""

    texts: tuple[tuple[Line, ...], ...]


Shown = Whole | Lines | None  # None: nothing of it, because it was withheld or erased; the commitment remains


class Manifest(Struct, frozen=True, kw_only=True):
    """What the bundle is said to hold; each word of it is checked against what is proven."""

    format: str
    version: int
    origin: str
    tenant: str
    session: str
    events: int
    sealed: bool
    files: dict[str, str]  # the files for reading: name -> file_root


class Step(Struct, frozen=True, kw_only=True):
    """A stream had this size and this root: leaf `leaf` of the tenant's log, with its audit path (hex)."""

    size: int
    root: str
    leaf: int
    path: tuple[str, ...]


class Told(Struct, frozen=True, kw_only=True):
    """An event of the audit log (hex), with its audit path in the audit stream's tree."""

    position: int
    event: str
    path: tuple[str, ...]


class Proofs(Struct, frozen=True, kw_only=True):
    """The way of everything into the tenant's log."""

    session: tuple[Step, ...]  # by size; the last one is the whole session
    audit: Step
    told: tuple[Told, ...]


class Keys(Struct, frozen=True, kw_only=True):
    """The tenant's public keys, oldest first, as C2SP verifier keys; the last one signed the checkpoint."""

    tenant: tuple[str, ...]
    device: str  # hex; empty: the device's enrolment is withheld, so its signatures are not checked


class Edit(Struct, frozen=True, kw_only=True):
    """What a reviewer wrote in the place of a withheld line; lines are numbered over all texts of the event."""

    event: int
    line: int
    text: str


def show(disclosure: Disclosure, withheld: frozenset[int]) -> Shown:
    """Return what is shown of an event when these lines are withheld; None where that would be larger than a record may be."""
    if not withheld:
        return Whole(disclosure.seed, disclosure.texts)
    split = [lines_of(text) for text in disclosure.texts]
    salts = hashlib.shake_256(disclosure.seed).digest(SALT * sum(map(len, split)))
    at, texts = 0, list[tuple[Line, ...]]()
    for lines in split:
        shown = list[Line]()
        for line in lines:
            salt = salts[at * SALT : (at + 1) * SALT]
            shown.append(leaf_hash(salt + line) if at in withheld else (salt, line))
            at += 1
        texts.append(tuple(shown))
    made = Lines(tuple(texts))
    return made if len(encode_shown(made)) <= LARGEST_RECORD else None


_encode = msgspec.msgpack.Encoder().encode
_shown: msgspec.msgpack.Decoder[Whole | Lines] = msgspec.msgpack.Decoder(Whole | Lines)


def encode_shown(shown: Shown) -> bytes:
    """Return a disclosure's bytes; nothing is no bytes."""
    return b"" if shown is None else _encode(shown)


def decode_shown(data: bytes) -> Shown:
    """Decode a disclosure. Raises msgspec.DecodeError, msgspec.ValidationError."""
    return _shown.decode(data) if data else None


def shown_holds(shown: Whole | Lines, committed: Sequence[Commitment]) -> bool:
    """Say whether what is shown, and the number of lines that are not, is what was committed to."""
    if isinstance(shown, Whole):
        return holds(shown.seed, shown.texts, committed)
    if len(shown.texts) != len(committed):
        return False
    return all(_lines_hold(lines, one) for lines, one in zip(shown.texts, committed, strict=True))


def _lines_hold(lines: Sequence[Line], committed: Commitment) -> bool:
    count, left, withheld, leaves = committed.lines, committed.size, 0, list[bytes]()
    for number, line in enumerate(lines, 1):
        if isinstance(line, bytes):
            if len(line) != 32:
                return False
            leaves.append(line)
            withheld += 1
            continue
        salt, text = line
        whole = text.endswith(b"\n") or len(text) == LONGEST_PIECE or number == count
        if len(salt) != SALT or not 0 < len(text) <= LONGEST_PIECE or b"\n" in text[:-1] or not whole:
            return False
        left -= len(text)
        leaves.append(leaf_hash(salt + text))
    fits = left == 0 if not withheld else withheld <= left <= withheld * LONGEST_PIECE
    return fits and len(lines) == count and root_of(leaves) == committed.root


def texts_of(shown: Shown) -> tuple[bytes | None, ...]:
    """Return the event's texts; None for one of which a line is withheld."""
    if isinstance(shown, Lines):
        split = lines_shown(shown)
        return tuple(None if None in lines else b"".join(line for line in lines if line is not None) for lines in split)
    return shown.texts if shown is not None else ()


def lines_shown(shown: Whole | Lines) -> list[list[bytes | None]]:
    """Return each text's lines, None for a withheld one."""
    if isinstance(shown, Whole):
        return [list[bytes | None](lines_of(text)) for text in shown.texts]
    return [[None if isinstance(line, bytes) else line[1] for line in lines] for lines in shown.texts]


def file_root(pieces: Iterable[bytes]) -> str:
    """Return what stands for a file for reading: the RFC 6962 root over its pieces of 1 MiB, hex. A page can hash it so."""
    frontier, leaf, room = Frontier(), hashlib.sha256(b"\x00"), PIECE
    for piece in pieces:
        left = memoryview(piece)
        while len(left) >= room:
            leaf.update(left[:room])
            frontier.append(leaf.digest())
            left, leaf, room = left[room:], hashlib.sha256(b"\x00"), PIECE
        leaf.update(left)
        room -= len(left)
    if room < PIECE:
        frontier.append(leaf.digest())
    return frontier.root.hex()


def listing(files: Mapping[str, str]) -> bytes:
    """Return the SHA-256 that stands for the files for reading in the audit log: over "name root" line by line."""
    return hashlib.sha256("".join(f"{name} {files[name]}\n" for name in sorted(files)).encode()).digest()


def write(
    into: IO[bytes], *, manifest: Manifest, keys: Keys, proofs: Proofs, note: str, parts: Mapping[str, IO[bytes]]
) -> None:
    """Write a bundle; `parts` has events, disclosures, leaves, and the files for reading."""
    small = {
        "manifest.json": msgspec.json.format(msgspec.json.encode(manifest)),
        "keys.json": msgspec.json.format(msgspec.json.encode(keys)),
        "proofs.json": msgspec.json.encode(proofs),
        "checkpoint": note.encode(),
    }
    names = [name for name in LIMITS if name in small or name in parts]
    pack(into, ((name, BytesIO(small[name]) if name in small else parts[name]) for name in names))


class Bundle:
    """A bundle that is read by somebody who does not trust it. Raises NotABundle, and Broken for what does not hold."""

    def __init__(self, file: IO[bytes]) -> None:
        self._container = Container(file)
        self.manifest = self._json("manifest.json", Manifest)
        self.keys = self._json("keys.json", Keys)
        self.proofs = self._json("proofs.json", Proofs)
        self.edits = self._json("edits.json", tuple[Edit, ...])
        told = self.manifest
        if told.format != FORMAT:
            raise NotABundle("its manifest is not that of a bundle")
        if told.version != VERSION:
            raise NotABundle(f"it has the format version {told.version}; this program knows {VERSION}")
        if not 0 < told.events <= MOST_EVENTS:
            raise NotABundle(f"it tells of {told.events} events; a bundle has 1 to {MOST_EVENTS}")
        if told.files.keys() != self._container.names() & set(READABLE):
            raise NotABundle("its manifest does not name the files for reading that are there")
        sizes = [step.size for step in self.proofs.session]
        if not 0 < len(sizes) <= MOST_STEPS or sizes[0] < 1 or sizes != sorted(set(sizes)) or sizes[-1] != told.events:
            raise NotABundle("its proofs are not for the number of events that its manifest tells")
        self.stream = f"session/{told.session}"
        self._log: notes.Checkpoint

    def _json(self, name: str, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self._container.read(name), type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise NotABundle(f"{name}: {error}") from error

    def check_checkpoint(self, vkey: str | None) -> notes.Checkpoint:
        """Check the signed root of the tenant's log under this key, or under the bundle's own."""
        if not self.keys.tenant:
            raise NotABundle("it has no key of the tenant")
        try:
            origin, key = notes.parse_vkey(self.keys.tenant[-1])
            if vkey is not None and notes.parse_vkey(vkey) != (origin, key):
                raise Broken("the key of this bundle is not the one that was given")
            self._log = notes.verify(self._container.read("checkpoint").decode(), origin, key)
        except (notes.NotACheckpoint, UnicodeDecodeError) as error:
            raise Broken(f"the checkpoint does not hold: {error}") from error
        if self._log.origin != origin or self.manifest.origin != origin:
            raise Broken("the checkpoint is for another log than the manifest tells")
        return self._log

    def check_log(self) -> None:
        """Check that the session's roots and the audit stream's are in the tenant's log."""
        for stream, step in (*((self.stream, step) for step in self.proofs.session), ("audit", self.proofs.audit)):
            leaf = leaf_hash(LogLeaf(stream, step.size, _hash(step.root)).data())
            path = [_hash(node) for node in step.path]
            if not verify_inclusion(leaf, step.leaf, self._log.size, path, self._log.root):
                raise Broken(f"the root of its first {step.size} events is not in the tenant's log", stream)

    def told(self) -> Iterator[tuple[int, bytes]]:
        """Yield the audit events, each proven to be in the audit stream."""
        audit = self.proofs.audit
        for one in self.proofs.told:
            try:
                event = bytes.fromhex(one.event)
            except ValueError as error:
                raise NotABundle(f"proofs.json: {error}") from error
            path = [_hash(node) for node in one.path]
            if not verify_inclusion(leaf_hash(event), one.position, audit.size, path, _hash(audit.root)):
                raise Broken("this event is not in the audit log", "audit", one.position)
            yield one.position, event

    def check_files(self) -> bytes:
        """Check the files for reading against the manifest and return what stands for them in the audit log."""
        for name, told in self.manifest.files.items():
            if file_root(self._container.pieces(name)) != told:
                raise Broken(f"the file {name} is not the one that was exported")
        return listing(self.manifest.files)

    def events(self) -> Iterator[tuple[int, bytes, Shown]]:
        """Yield number, bytes and what is shown of each event; the end says whether all of them are what was signed.

        No bytes stand for an event that is withheld as a whole: its leaf is in the tree, and nothing else of it is here.
        """
        leaves, doubt = self._leaves()
        events, disclosures = self._container.records("events"), self._container.records("disclosures")
        sha256, signed, count = hashlib.sha256, self.manifest.events, 0
        for event, data in zip_longest(events, disclosures):
            if event is None:
                if count < signed:
                    break
                raise Broken("the file disclosures goes on after the last event", self.stream, count - 1)
            if count == signed:
                raise Broken(f"there are more events than the {count} that were signed", self.stream, count)
            if event and sha256(b"\x00" + event).digest() != leaves[32 * count : 32 * count + 32]:
                raise Broken("this event is not what was signed", self.stream, count)
            if data is None:
                raise Broken("the file disclosures ends before this event", self.stream, count)
            if data and not event:
                raise Broken("a text lies beside an event that is withheld", self.stream, count)
            try:
                shown = decode_shown(data)
            except (msgspec.DecodeError, RecursionError) as error:
                raise Broken(f"what is shown of this event cannot be read ({error})", self.stream, count) from error
            yield count, event, shown
            count += 1
        if count < signed:
            raise Broken(f"events are missing: {signed} were signed, {count} are here", self.stream, count)
        if doubt is not None:
            first, last = doubt
            raise Broken(f"one of the events {first} to {last} is not what was signed", self.stream, first)

    def _leaves(self) -> tuple[bytes, tuple[int, int] | None]:
        """Return the leaf hashes, and between which of them the first is that was never signed."""
        leaves = self._container.read("leaves")
        if len(leaves) != 32 * self.manifest.events:
            raise NotABundle("the file leaves does not have one hash for each event")
        levels, before = levels_of(leaves), 0
        for step in self.proofs.session:
            if root_at(levels, step.size).hex() != step.root:
                return leaves, (before, step.size - 1)
            before = step.size
        return leaves, None


def _hash(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32:
        raise NotABundle("proofs.json: this is no SHA-256 in hex")
    return data
