"""What a database must do for the record, and nothing more: SQLite and PostgreSQL, behind the same few methods.

A store promises: *durability* – when `commit` returns, all of it survives a power cut; *atomicity* – a commit is there as a whole
or not at all; *order* – commits become visible in the order of their calls; *one at a time* – between the moment when `commit`
tells where a tenant's log stands and its end, no other process changes anything of that tenant. It never judges, hashes or signs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from caisey_core.record.commitment import Disclosure

POSITIONS: Final = 40  # bits of an event's place in its stream; the bits above are the stream's number


class RecordUnavailable(Exception):
    """The record cannot be written now: a full disk, a failing store. Nothing of what failed counts as recorded."""


class StreamSealed(Exception):
    """The stream has its last event; nothing can follow it."""


class UnknownTenant(Exception):
    """The tenant has no record key in this store."""


class StoreTrouble(Exception):
    """The store cannot be opened; the message says why and what to do."""


class Unreadable(Exception):
    """What lies beside an event is no disclosure: the file was changed or is damaged there."""

    def __init__(self, stream: str, position: int) -> None:
        super().__init__(f"{stream}, event {position}: its text cannot be read")
        self.stream, self.position = stream, position


class TenantKey(Struct, frozen=True):
    """A tenant's signing key as it is kept: the origin of its log, the public key, the sealed private key."""

    tenant: UUID
    origin: str
    public: bytes
    sealed: bytes


class StreamHead(Struct, frozen=True):
    """Where a stream stands: how many events, the frontier of its tree, whether it is sealed."""

    stream: str
    size: int
    frontier: bytes
    sealed: bool


class LogHead(Struct, frozen=True):
    """Where a tenant's log stands."""

    size: int
    frontier: bytes


class Recorded(Struct, frozen=True):
    """An event as it is kept. The disclosure is None where the event has no content, or where that was erased."""

    position: int
    event: bytes
    disclosure: Disclosure | None


class StreamWrite(Struct, frozen=True):
    """Events that follow each other in one stream; `head` is where it stands after them."""

    tenant: UUID
    first: int
    events: Sequence[tuple[bytes, Disclosure | None]]
    head: StreamHead


class LogLeaf(Struct, frozen=True):
    """One leaf of a tenant's log: a stream had this size and this root."""

    stream: str
    size: int
    root: bytes

    def data(self) -> bytes:
        """Return the bytes that are hashed into the log."""
        return f"caisey log leaf v1\n{self.stream}\n{self.size}\n{self.root.hex()}\n".encode()


class LogWrite(Struct, frozen=True):
    """What one commit adds to a tenant's log, and the new signed checkpoint."""

    tenant: UUID
    first: int
    leaves: Sequence[LogLeaf]
    head: LogHead
    note: str


Prepare = Callable[[Mapping[UUID, LogHead]], tuple[Sequence[StreamWrite], Sequence[LogWrite]]]


class Displaced(Exception):
    """A stream is not where this process thought it was: another process wrote to it."""


class Store(Protocol):
    """A database of records. `commit`, `add_tenant` and `recover` are called from one thread; the rest from any."""

    failures: tuple[type[Exception], ...]  # what its reads raise when the database fails

    def add_tenant(self, key: TenantKey, note: str) -> None:
        """Keep a tenant's key and the checkpoint of its empty log, durably."""

    def tenants(self) -> list[TenantKey]:
        """Return all tenants' keys."""

    def reseal(self, sealed: Mapping[UUID, bytes], fingerprint: bytes) -> None:
        """Replace all tenants' sealed keys, all of them or none, and remember which master key that is. Raises StoreTrouble while
        another process writes this record."""

    def commit(self, tenants: Sequence[UUID], prepare: Prepare) -> None:
        """Lock the tenants' logs, tell `prepare` where they stand, and write what it returns, durably and atomically.

        `prepare` may read from the store. Raises anything when it could not be done (Displaced: a stream is sealed or
        elsewhere); `recover` is called before the next.
        """

    def recover(self) -> None:
        """Make the store writable again after a failed commit, and prove it by a durable write. Raises if it is not."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Within it, all that this thread reads is of one moment, whatever is committed meanwhile."""

    def head(self, tenant: UUID, stream: str) -> StreamHead | None:
        """Return where a stream stands, or None if it was never written."""

    def newest_leaf(self, tenant: UUID, stream: str) -> LogLeaf | None:
        """Return what a tenant's log says last of a stream, or None if it says nothing."""

    def heads(self, tenant: UUID) -> list[StreamHead]:
        """Return all streams of a tenant in the order of their birth."""

    def free(self, tenant: UUID) -> list[StreamHead]:
        """Return the streams that are not sealed and that no other living process writes, in the order of their birth."""

    def log_head(self, tenant: UUID) -> LogHead:
        """Return where a tenant's log stands."""

    def checkpoint(self, tenant: UUID) -> str:
        """Return the newest signed checkpoint."""

    def read(self, tenant: UUID, stream: str, start: int, limit: int) -> list[Recorded]:
        """Return events from `start` on, in order; fewer than `limit` at the end. Raises Unreadable."""

    def erase(self, tenant: UUID, stream: str) -> int:
        """Destroy the disclosures of a stream, so that nothing of them is left in the database's files. From any thread.

        Returns how many events lost theirs; may be repeated.
        """

    def log_leaves(self, tenant: UUID, start: int, limit: int) -> list[LogLeaf]:
        """Return leaves of a tenant's log from `start` on, in order."""

    def checkpoints(self, tenant: UUID) -> list[tuple[int, str]]:
        """Return all checkpoints of a tenant by size: the size under which each is kept, and the note."""

    def strays(self) -> str:
        """Say what lies in the store that belongs to no tenant, stream or position; empty if nothing does."""

    def close(self) -> None:
        """Let go of everything."""
