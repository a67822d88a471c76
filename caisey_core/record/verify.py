"""Structural verification: every event in its place, under roots that the tenant's key signed. Knows bytes, not meanings."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from caisey_core.record import checkpoint as notes
from caisey_core.record.commitment import Commitment, holds
from caisey_core.record.merkle import Frontier, consistency_proof, leaf_hash, root_of, verify_consistency
from caisey_core.record.store import LogHead, Recorded, Store, StreamHead, TenantKey, Unreadable

READ_AT_ONCE = 1000
Claims = dict[str, list[tuple[int, bytes]]]
T = TypeVar("T")
Read = Callable[[bytes], tuple[T, Sequence[Commitment]]]  # an event's bytes -> the event, and what it commits to

__all__ = [
    "Broken",
    "Log",
    "Read",
    "checked",
    "events_of",
    "remembered_holds",
    "roots_at",
    "signed_log",
    "signed_stream",
    "verify_log",
    "verify_stream",
]


class Broken(Exception):
    """Something does not hold; `where` names stream and event, `what` says it in words."""

    def __init__(self, what: str, stream: str = "", position: int | None = None) -> None:
        event = f", event {position}" if position is not None else ""
        super().__init__(f"{stream}{event}: {what}" if stream else what)
        self.what, self.stream, self.position = what, stream, position


class Log(Struct, frozen=True):
    """A tenant's log that was found to hold: its size and root, the checkpoints, and what it says of each stream."""

    size: int
    root: bytes
    checkpoints: int
    claims: Claims


def signed_log(store: Store, key: TenantKey, head: LogHead) -> Frontier:
    """Return the frontier of a log that ends where the tenant's key signed; whoever appends to it vouches for all of it.

    Raises Broken.
    """
    try:
        frontier = Frontier.decode(head.size, head.frontier)
        checkpoint = notes.verify(store.checkpoint(key.tenant), key.origin, key.public)
    except (ValueError, TypeError, AttributeError) as error:
        raise Broken(f"the end of the tenant's log does not hold: {error}") from error
    if (checkpoint.size, checkpoint.root) != (frontier.size, frontier.root):
        raise Broken("the tenant's log does not end where its key signed")
    return frontier


def signed_stream(store: Store, tenant: UUID, stream: str) -> StreamHead | None:
    """Return where a stream stands if the tenant's log says the same; None if neither knows it. Raises Broken."""
    head, leaf = store.head(tenant, stream), store.newest_leaf(tenant, stream)
    try:
        frontier = Frontier.decode(head.size, head.frontier) if head is not None else Frontier()
    except (ValueError, TypeError, AttributeError) as error:
        raise Broken("the stream's head does not hold", stream) from error
    if (frontier.size, frontier.root) != ((leaf.size, leaf.root) if leaf is not None else (0, Frontier().root)):
        raise Broken("the stream does not end where the tenant's log says", stream, frontier.size)
    return head


def verify_log(store: Store, key: TenantKey) -> Log:
    """Check a tenant's log against every checkpoint. Raises Broken."""
    try:
        Ed25519PublicKey.from_public_bytes(key.public)
    except (ValueError, TypeError) as error:
        raise Broken("the tenant's public key is no Ed25519 key") from error
    signed: dict[int, bytes] = {}
    for size, note in store.checkpoints(key.tenant):
        try:
            checkpoint = notes.verify(note, key.origin, key.public)
        except (notes.NotACheckpoint, InvalidSignature, TypeError, ValueError, AttributeError) as error:
            raise Broken(f"the checkpoint of size {size} does not hold: {error}") from error
        if checkpoint.size != size or checkpoint.origin != key.origin:
            raise Broken(f"the checkpoint of size {size} is for another log or size")
        signed[size] = checkpoint.root
    frontier, claims, start, last_signed = Frontier(), Claims(), 0, True
    if signed.pop(0, None) != frontier.root:
        raise Broken("the checkpoint of the empty log is missing or wrong")
    checkpoints = len(signed) + 1
    while leaves := store.log_leaves(key.tenant, start, READ_AT_ONCE):
        for leaf in leaves:
            frontier.append(leaf_hash(leaf.data()))
            claims.setdefault(leaf.stream, []).append((leaf.size, leaf.root))
            root = signed.pop(frontier.size, None)
            if root is not None and root != frontier.root:
                raise Broken(f"the tenant's log up to leaf {frontier.size} is not what was signed", leaf.stream)
            last_signed = root is not None
        start += len(leaves)
    if signed:
        raise Broken(f"checkpoints for sizes that the log does not have: {', '.join(map(str, sorted(signed)))}")
    if frontier.size and not last_signed:
        raise Broken("the newest leaves of the tenant's log were never signed")
    head = store.log_head(key.tenant)
    if (head.size, head.frontier) != (frontier.size, frontier.encode()):
        raise Broken("the head of the tenant's log is not where its leaves lead")
    return Log(frontier.size, frontier.root, checkpoints, claims)


def remembered_holds(store: Store, key: TenantKey, remembered: str) -> None:
    """Check that the log continues a checkpoint that somebody kept. Raises Broken: the history was replaced or cut."""
    old = notes.verify(remembered, key.origin, key.public)
    leaves, start = [], 0
    while batch := store.log_leaves(key.tenant, start, READ_AT_ONCE):
        leaves += [leaf_hash(leaf.data()) for leaf in batch]
        start += len(batch)
    root = root_of(leaves)
    if old.size > len(leaves):
        raise Broken(f"a checkpoint of size {old.size} was handed out, the log has only {len(leaves)} leaves: it was cut")
    if old.size == 0:
        return
    proof = consistency_proof(leaves, old.size)
    if not verify_consistency(old.size, old.root, len(leaves), root, proof):
        raise Broken(f"the log does not continue the checkpoint of size {old.size} that was handed out")


def roots_at(store: Store, tenant: UUID, sizes: Collection[int]) -> dict[int, bytes]:
    """Return the roots that a tenant's log had at these sizes; a size that it does not have is left out."""
    frontier, start, wanted = Frontier(), 0, set(sizes)
    found = {0: frontier.root} if 0 in wanted else {}
    last = max(wanted, default=0)
    while start < last and (leaves := store.log_leaves(tenant, start, READ_AT_ONCE)):
        for leaf in leaves:
            frontier.append(leaf_hash(leaf.data()))
            if frontier.size in wanted:
                found[frontier.size] = frontier.root
        start += len(leaves)
    return found


def events_of(store: Store, tenant: UUID, stream: str) -> Iterator[Recorded]:
    """Yield a stream's events."""
    start = 0
    while rows := store.read(tenant, stream, start, READ_AT_ONCE):
        yield from rows
        start += len(rows)


def _readable(rows: Iterator[Recorded]) -> Iterator[Recorded]:
    try:
        yield from rows
    except Unreadable as error:
        raise Broken("its text cannot be read", error.stream, error.position) from error


def checked(row: Recorded, read: Read[T], stream: str, *, erased: bool) -> T:
    """Return the event if beside it lies what it commits to, unless that was erased. Raises Broken, also for what is no event."""
    try:
        event, committed = read(row.event)
    except (ValueError, TypeError) as error:
        raise Broken(f"this is no event ({error})", stream, row.position) from error
    said = row.disclosure
    if committed:
        if said is None and not erased:
            raise Broken("its text is missing", stream, row.position)
        if said is not None and not holds(said.seed, said.texts, committed):
            raise Broken("its text is not what was committed to", stream, row.position)
    elif said is not None:
        raise Broken("a text lies beside an event that has none", stream, row.position)
    return event


def verify_stream(
    store: Store,
    key: TenantKey,
    head: StreamHead,
    log: Log,
    read: Read[T],
    visit: Callable[[Recorded, T], None],
    *,
    erased: bool = False,
) -> int:
    """Check a stream's events against the log and their disclosures; `visit` sees each. Returns their number.

    `erased`: its texts may be gone, what is there must hold. Raises Broken.
    """
    claims = iter(log.claims.get(head.stream, []))
    claim = next(claims, None)
    frontier = Frontier()
    for expected, row in enumerate(_readable(events_of(store, key.tenant, head.stream))):
        if row.position != expected:
            raise Broken("an event is missing before this one", head.stream, row.position)
        event = checked(row, read, head.stream, erased=erased)
        frontier.append(leaf_hash(row.event))
        visit(row, event)
        if claim is not None and claim[0] == frontier.size:
            if claim[1] != frontier.root:
                raise Broken("this event, or one before it, is not what was signed", head.stream, row.position)
            claim = next(claims, None)
    if claim is not None:
        raise Broken(f"events are missing: {claim[0]} were signed, {frontier.size} are there", head.stream, frontier.size)
    signed = log.claims.get(head.stream, [(0, b"")])[-1][0]
    if signed != frontier.size:
        raise Broken("the newest events were never signed", head.stream, signed)
    if (head.size, head.frontier) != (frontier.size, frontier.encode()):
        raise Broken("the stream's head is not where its events lead", head.stream, frontier.size)
    return frontier.size
