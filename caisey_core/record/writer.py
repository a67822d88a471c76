"""The record's writer: one thread that commits in groups, and the front that the event loop appends to.

A commit takes everything that waits: the events, one log leaf for each stream that it touches, one signed checkpoint for each
tenant. Whoever waits is released when the store says that it is durable, all together. What nobody waits for may linger 5 ms,
so that a gated command does not queue behind it. A crash before the store's commit loses only what nobody was told; a crash
after it is the same as no crash. Positions are given on arrival; if a commit fails, everything after it fails too, and the
streams are read again from the store before anything new is taken.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from caisey_core.record import checkpoint as notes
from caisey_core.record.commitment import Disclosure
from caisey_core.record.keys import MasterKey, new_signing_key, unseal_signing_key
from caisey_core.record.merkle import Frontier, leaf_hash
from caisey_core.record.store import (
    LogHead,
    LogLeaf,
    LogWrite,
    Recorded,
    RecordUnavailable,
    Store,
    StreamHead,
    StreamSealed,
    StreamWrite,
    TenantKey,
    UnknownTenant,
)

T = TypeVar("T")

LINGER_SECONDS = 0.005
TRY_AGAIN_SECONDS = 1.0
LARGEST_GROUP = 8 << 20  # bytes of one commit


class Entry(Struct, frozen=True):
    """An event's exact bytes, and the disclosure that lies beside it."""

    event: bytes
    disclosure: Disclosure | None = None


class Ticket(Struct, frozen=True):
    """Where the first of the entries stands, and the moment when all of them are durable (or RecordUnavailable)."""

    first: int
    durable: asyncio.Future[None]


@dataclass(slots=True)
class _Stream:
    tenant: UUID
    name: str
    size: int = 0  # the loop's: including what is on its way
    sealed: bool = False
    durable: Frontier = field(default_factory=Frontier)  # the writer thread's


@dataclass(slots=True)
class _Pending:
    stream: _Stream
    entries: Sequence[Entry]
    leaves: Sequence[bytes]
    durable: asyncio.Future[None]
    seal: bool
    weight: int


@dataclass(slots=True)
class _Log:
    key: Ed25519PrivateKey
    origin: str
    public: bytes
    frontier: Frontier


class Record:
    """All tenants' records on one store. Methods are for the event loop's thread."""

    def __init__(self, store: Store, master: MasterKey) -> None:
        self._store = store
        self._master = master
        self._streams: dict[tuple[UUID, str], _Stream] = {}
        self._logs: dict[UUID, _Log] = {}
        self._waiting: list[_Pending] = []
        self._wake = threading.Condition()
        self._urgent = False
        self._stop = False
        self._failing = False  # set by the thread, cleared by the loop once all that waited was told
        self._drained = asyncio.Event()
        self._drain_below = 0
        self.backlog_bytes = 0
        self.held = False
        self.on_held: list[Callable[[], None]] = []
        self.on_resumed: list[Callable[[], None]] = []
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="record reader")
        self._thread = threading.Thread(target=self._work, name="record writer", daemon=True)

    async def start(self) -> None:
        """Load the tenants' keys and begin to write. Raises KeyTrouble if the master key does not fit."""
        self._loop = asyncio.get_running_loop()
        for key in self._store.tenants():
            head = self._store.log_head(key.tenant)
            private = unseal_signing_key(self._master, key.tenant, key.sealed)
            self._logs[key.tenant] = _Log(private, key.origin, key.public, Frontier.decode(head.size, head.frontier))
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, then let go of the store."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)
        self._readers.shutdown()
        self._store.close()

    async def create_tenant(self, tenant: UUID, origin: str) -> None:
        """Make a tenant's signing key and its empty log."""
        private, sealed = new_signing_key(self._master, tenant)
        public = private.public_key().public_bytes_raw()
        frontier = Frontier()
        note = notes.sign(notes.Checkpoint(origin, 0, frontier.root), private)
        self._store.add_tenant(TenantKey(tenant, origin, public, sealed), note)
        self._logs[tenant] = _Log(private, origin, public, frontier)

    def vkey(self, tenant: UUID) -> str:
        """Return the tenant's public key as a C2SP verifier key."""
        log = self._log(tenant)
        return notes.vkey(log.origin, log.public)

    def _log(self, tenant: UUID) -> _Log:
        try:
            return self._logs[tenant]
        except KeyError:
            raise UnknownTenant(str(tenant)) from None

    def tenants(self) -> list[UUID]:
        """Return the tenants that have a record."""
        return list(self._logs)

    async def checkpoint(self, tenant: UUID) -> str:
        """Return the tenant's newest signed checkpoint."""
        return await self._read(self._store.checkpoint, tenant)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read(self, tenant: UUID, stream: str, start: int = 0, limit: int = 1000) -> list[Recorded]:
        """Return durable events of a stream from `start` on."""
        return await self._read(self._store.read, tenant, stream, start, limit)

    async def streams(self, tenant: UUID) -> list[StreamHead]:
        """Return all streams of a tenant."""
        return await self._read(self._store.heads, tenant)

    async def open_streams(self, tenant: UUID) -> list[StreamHead]:
        """Return the streams that are not sealed."""
        return [head for head in await self.streams(tenant) if not head.sealed]

    async def in_reader(self, work: Callable[[Store], T], beside: Executor | None = None) -> T:
        """Run longer reading work in a reader thread; all that it reads is of one moment.

        Where it takes long it runs in a thread of `beside`, so that short reads need not wait for it.
        """

        def of_one_moment() -> T:
            with self._store.snapshot():
                return work(self._store)

        return await self._loop.run_in_executor(beside or self._readers, of_one_moment)

    async def _read(self, method: Callable[..., T], *arguments: object) -> T:
        return await self._loop.run_in_executor(self._readers, method, *arguments)

    async def erase(self, tenant: UUID, stream: str) -> int:
        """Destroy the disclosures of a stream; returns how many events lost theirs."""
        return await self._read(self._store.erase, tenant, stream)

    # --- appending ---------------------------------------------------------------------------------------------------

    async def open_stream(self, tenant: UUID, stream: str) -> int:
        """Prepare to append to a stream that exists and return its size; once is enough while the process lives."""
        found = self._streams.get((tenant, stream))
        if found is None:
            head = await self._read(self._store.head, tenant, stream)
            found = self._streams.setdefault((tenant, stream), _Stream(tenant, stream))
            if head is not None and found.size == 0:
                self._set(found, head)
        return found.size

    @staticmethod
    def _set(stream: _Stream, head: StreamHead) -> None:
        stream.size, stream.sealed = head.size, head.sealed
        stream.durable = Frontier.decode(head.size, head.frontier)

    def append(self, tenant: UUID, stream: str, entries: Sequence[Entry], *, urgent: bool = True, seal: bool = False) -> Ticket:
        """Give entries their places now and write them soon. `seal` makes them the stream's last.

        A stream begins with its first append; one that exists must have been opened once, otherwise its ticket fails.
        Raises RecordUnavailable while the record is held, StreamSealed, UnknownTenant.
        """
        if self.held or self._failing or self._stop:
            raise RecordUnavailable("the record cannot be written now")
        self._log(tenant)
        found = self._streams.get((tenant, stream))
        if found is None:
            found = self._streams[tenant, stream] = _Stream(tenant, stream)
        if found.sealed:
            raise StreamSealed(stream)
        first = found.size
        found.size += len(entries)
        found.sealed = seal
        weight, leaves = 0, []
        for entry in entries:
            leaves.append(leaf_hash(entry.event))
            weight += len(entry.event)
            if entry.disclosure is not None:
                for text in entry.disclosure.texts:
                    weight += len(text)
        future: asyncio.Future[None] = self._loop.create_future()
        pending = _Pending(found, entries, leaves, future, seal, weight)
        self.backlog_bytes += weight
        with self._wake:
            self._waiting.append(pending)
            if urgent or len(self._waiting) == 1:
                self._urgent = self._urgent or urgent
                self._wake.notify()
        return Ticket(first, future)

    async def drained(self, below_bytes: int) -> None:
        """Return once less than this waits to be written, or the record is held."""
        while self.backlog_bytes >= max(below_bytes, 1) and not self.held:
            self._drained.clear()
            await self._drained.wait()

    # --- the writer thread -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            group = self._next_group()
            if group is None:
                return
            try:
                self._commit(group)
            except Exception as error:  # whatever a database can raise: nothing of the group counts
                with self._wake:
                    self._failing = True
                self._loop.call_soon_threadsafe(self._failed, group, error)
                if not self._recover():
                    return
            else:
                self._loop.call_soon_threadsafe(self._written, group)

    def _next_group(self) -> list[_Pending] | None:
        with self._wake:
            while not self._waiting:
                if self._stop:
                    return None
                self._wake.wait()
            until = time.monotonic() + LINGER_SECONDS
            while not self._urgent and not self._stop and (left := until - time.monotonic()) > 0:
                self._wake.wait(left)
            size = taken = 0
            for pending in self._waiting:
                size += pending.weight
                taken += 1
                if size >= LARGEST_GROUP:
                    break
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._urgent = bool(self._waiting)
            return group

    def _commit(self, group: list[_Pending]) -> None:
        """Write a group. Frontiers become the streams' own only after the store has it."""
        grown: dict[int, tuple[_Stream, Frontier, list[tuple[bytes, Disclosure | None]], bool]] = {}
        for pending in group:
            stream = pending.stream
            frontier, events, sealed = grown.setdefault(id(stream), (stream, stream.durable.copy(), [], False))[1:]
            for leaf in pending.leaves:
                frontier.append(leaf)
            events.extend((entry.event, entry.disclosure) for entry in pending.entries)
            grown[id(stream)] = (stream, frontier, events, sealed or pending.seal)
        writes, leaves = [], dict[UUID, list[LogLeaf]]()
        for stream, frontier, events, sealed in grown.values():
            head = StreamHead(stream.name, frontier.size, frontier.encode(), sealed)
            writes.append(StreamWrite(stream.tenant, stream.durable.size, events, head))
            leaves.setdefault(stream.tenant, []).append(LogLeaf(stream.name, frontier.size, frontier.root))
        logs, log_frontiers = [], []
        for tenant, added in leaves.items():
            log = self._logs[tenant]
            frontier = log.frontier.copy()
            for one in added:
                frontier.append(leaf_hash(one.data()))
            note = notes.sign(notes.Checkpoint(log.origin, frontier.size, frontier.root), log.key)
            logs.append(LogWrite(tenant, log.frontier.size, added, LogHead(frontier.size, frontier.encode()), note))
            log_frontiers.append((log, frontier))
        self._store.commit(writes, logs)
        for stream, frontier, _, _ in grown.values():
            stream.durable = frontier
        for log, frontier in log_frontiers:
            log.frontier = frontier

    def _recover(self) -> bool:
        """Wait until the store can be written and everyone was told, read all heads anew; False when the server stops."""
        while True:
            with self._wake:
                if self._stop:
                    return False
                self._wake.wait(TRY_AGAIN_SECONDS if not self._failing else 0.01)
                if self._failing:
                    continue
            try:
                self._store.recover()
                heads = {name: self._store.head(*name) for name in list(self._streams)}
                logs = {tenant: self._store.log_head(tenant) for tenant in self._logs}
            except Exception:  # noqa: S112 - still failing: whoever asks is told so by `held`
                continue
            told = threading.Event()
            self._loop.call_soon_threadsafe(self._resume, heads, logs, told)
            while not told.wait(0.1):
                if self._stop:
                    return False
            return True

    # --- back on the loop --------------------------------------------------------------------------------------------

    def _written(self, group: list[_Pending]) -> None:
        for pending in group:
            self.backlog_bytes -= pending.weight
            if not pending.durable.done():
                pending.durable.set_result(None)
        self._drained.set()

    def _failed(self, group: list[_Pending], error: Exception) -> None:
        self.held = True
        with self._wake:
            group += self._waiting
            self._waiting = []
            self._failing = False
        for pending in group:
            self.backlog_bytes -= pending.weight
            if not pending.durable.done():
                unavailable = RecordUnavailable(f"the record could not be written: {error}")
                unavailable.__cause__ = error
                pending.durable.set_exception(unavailable)
                pending.durable.exception()  # seen: a ticket that nobody awaits is no leak, `held` tells the world
        self._drained.set()
        for told in self.on_held:
            told()

    def _resume(
        self, heads: dict[tuple[UUID, str], StreamHead | None], logs: dict[UUID, LogHead], told: threading.Event
    ) -> None:
        for name, stream in self._streams.items():
            head = heads.get(name)
            self._set(stream, head if head is not None else StreamHead(stream.name, 0, b"", sealed=False))
        for tenant, head_of_log in logs.items():
            self._logs[tenant].frontier = Frontier.decode(head_of_log.size, head_of_log.frontier)
        self.held = False
        told.set()
        for resumed in self.on_resumed:
            resumed()
