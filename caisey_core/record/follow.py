"""Verification that goes on where it stopped: what held once is not read again, what is new is checked against it.

The newest checkpoint's signature covers the whole log before it, so one signature check for each step is enough; every older
checkpoint is looked at by `verify_log`. All of this is for one thread at a time, and each step reads within one snapshot.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidSignature

from caisey_core.record import checkpoint as notes
from caisey_core.record.merkle import Frontier, leaf_hash
from caisey_core.record.store import LogLeaf, Recorded, Store, TenantKey
from caisey_core.record.verify import READ_AT_ONCE, Broken, Read, checked

T = TypeVar("T")


class FollowedLog:
    """A tenant's log, verified up to a size; of each stream the newest size and root that it says."""

    def __init__(self, key: TenantKey) -> None:
        self._key = key
        self._frontier = Frontier()
        self._claims: dict[str, bytes] = {}  # size (8 bytes) and root: many sessions fit

    @property
    def size(self) -> int:
        """How many leaves were verified."""
        return self._frontier.size

    def claim(self, stream: str) -> tuple[int, bytes]:
        """Return the newest size and root that the log says of a stream; 0 for one that it does not know."""
        found = self._claims.get(stream)
        return (0, b"") if found is None else (int.from_bytes(found[:8], "big"), found[8:])

    def go_on(self, store: Store) -> None:
        """Verify what was added, within a snapshot. Raises Broken; what was verified before stays as it was."""
        checkpoint = self._newest(store)
        added, frontier = self._read(store, checkpoint.size)
        if frontier.root != checkpoint.root:
            raise Broken(f"the tenant's log up to leaf {frontier.size} is not what was signed")
        if store.log_leaves(self._key.tenant, frontier.size, 1):
            raise Broken("the newest leaves of the tenant's log were never signed")
        for leaf in added:
            self._claims[leaf.stream] = leaf.size.to_bytes(8, "big") + leaf.root
        self._frontier = frontier

    def _newest(self, store: Store) -> notes.Checkpoint:
        try:
            checkpoint = notes.verify(store.checkpoint(self._key.tenant), self._key.origin, self._key.public)
        except (notes.NotACheckpoint, InvalidSignature, TypeError, ValueError, AttributeError) as error:
            raise Broken(f"the newest checkpoint does not hold: {error}") from error
        if checkpoint.size < self._frontier.size:
            raise Broken(f"the tenant's log had {self._frontier.size} leaves, its newest checkpoint has {checkpoint.size}")
        return checkpoint

    def _read(self, store: Store, size: int) -> tuple[list[LogLeaf], Frontier]:
        added: list[LogLeaf] = []
        frontier = self._frontier.copy()
        while frontier.size < size:
            leaves = store.log_leaves(self._key.tenant, frontier.size, min(READ_AT_ONCE, size - frontier.size))
            if not leaves:
                raise Broken(f"the checkpoint signs {size} leaves of the tenant's log, {frontier.size} are there")
            for leaf in leaves:
                frontier.append(leaf_hash(leaf.data()))
            added += leaves
        return added, frontier


class FollowedStream(Generic[T]):
    """One stream of a followed log, verified up to a size. After Broken it is of no more use."""

    def __init__(self, key: TenantKey, stream: str, read: Read[T]) -> None:
        self._tenant, self._stream, self._read = key.tenant, stream, read
        self._frontier = Frontier()

    @property
    def size(self) -> int:
        """How many events were verified."""
        return self._frontier.size

    def go_on(self, store: Store, log: FollowedLog, visit: Callable[[Recorded, T], None], *, erased: bool = False) -> None:
        """Verify the events that the log added, up to the stream's end; `visit` sees each. Raises Broken, Unreadable."""
        frontier, stream = self._frontier, self._stream
        size, root = log.claim(stream)
        if size < frontier.size:
            raise Broken(f"{frontier.size} events were signed, the log says {size} now", stream, size)
        while frontier.size < size:
            rows = store.read(self._tenant, stream, frontier.size, min(READ_AT_ONCE, size - frontier.size))
            if not rows:
                raise Broken(f"events are missing: {size} were signed, {frontier.size} are there", stream, frontier.size)
            for row in rows:
                if row.position != frontier.size:
                    raise Broken("an event is missing before this one", stream, row.position)
                frontier.append(leaf_hash(row.event))
                visit(row, checked(row, self._read, stream, erased=erased))
        if size and frontier.root != root:
            raise Broken("an event is not what was signed", stream)
        head = store.head(self._tenant, stream)
        if size and (head is None or (head.size, head.frontier) != (size, frontier.encode())):
            raise Broken("the stream's head is not where its events lead", stream, size)
        if store.read(self._tenant, stream, size, 1):
            raise Broken("the newest events were never signed", stream, size)
