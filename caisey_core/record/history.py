"""What a tenant's log says to somebody who saw it before: its newest checkpoint, and the proof that it continues theirs.

Made for ten thousand devices that come back at once: they share a checkpoint for a second, and the proof for each size once.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from msgspec import Struct

from caisey_core.record import checkpoint as notes
from caisey_core.record.merkle import leaf_hash
from caisey_core.record.store import Store
from caisey_core.record.tree import StoredTree
from caisey_core.record.writer import Record

FRESH_SECONDS: Final = 1.0  # a checkpoint this old is handed out again
MOST_PROOFS: Final = 4096  # kept for a tenant


class Continuation(Struct, frozen=True):
    """The newest checkpoint with its size; the proof is empty where nothing can be or need be proved."""

    note: str
    size: int
    since: int
    proof: tuple[bytes, ...]


@dataclass
class _Log:
    tree: StoredTree | None = None  # in reader threads, one at a time
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    note: str = ""
    size: int = -1
    read_at: float = 0.0
    proofs: OrderedDict[tuple[int, int], Continuation] = field(default_factory=OrderedDict)


class Histories:
    """All tenants' logs as witnesses ask for them. For the event loop's thread."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._logs: dict[UUID, _Log] = {}

    async def newest(self, tenant: UUID, at_least: int = 0) -> tuple[str, int]:
        """Return a signed checkpoint and its size: the newest, or one that was it within the last second."""
        log = self._logs.setdefault(tenant, _Log())
        if log.size < at_least or time.monotonic() - log.read_at > FRESH_SECONDS:
            at = time.monotonic()
            note = await self._record.checkpoint(tenant)
            size = notes.parse(note.partition("\n\n")[0] + "\n").size
            if size >= log.size:
                log.note, log.size, log.read_at = note, size, at
        return log.note, log.size

    async def since(self, tenant: UUID, old_size: int, *, fresh: bool = False) -> Continuation:
        """Return the newest checkpoint with the proof that it continues one of this size.

        Raises LeavesMissing and NotACheckpoint where the record is damaged.
        """
        log = self._logs.setdefault(tenant, _Log())
        if fresh:
            log.read_at = 0.0
        note, size = await self.newest(tenant, old_size)
        if not 0 < old_size < size:
            return Continuation(note, size, old_size, ())
        if (found := log.proofs.get((old_size, size))) is not None:
            log.proofs.move_to_end((old_size, size))
            return found
        async with log.busy:
            if (found := log.proofs.get((old_size, size))) is not None:
                return found
            proof = await self._record.in_reader(lambda store: _proof(store, tenant, log, old_size, size))
            made = log.proofs[old_size, size] = Continuation(note, size, old_size, tuple(proof))
            while len(log.proofs) > MOST_PROOFS:
                log.proofs.popitem(last=False)
        return made

    async def prepare(self, tenant: UUID) -> None:
        """Read the log once, before anybody waits for a proof."""
        _, size = await self.newest(tenant)
        log = self._logs[tenant]
        async with log.busy:
            await self._record.in_reader(lambda store: _tree(store, tenant, log).grow(size))


def _tree(store: Store, tenant: UUID, log: _Log) -> StoredTree:
    if log.tree is None:

        def read(start: int, count: int) -> list[bytes]:
            return [leaf_hash(leaf.data()) for leaf in store.log_leaves(tenant, start, count)]

        log.tree = StoredTree(read)
    return log.tree


def _proof(store: Store, tenant: UUID, log: _Log, old_size: int, size: int) -> list[bytes]:
    return _tree(store, tenant, log).consistency_proof(old_size, size)
