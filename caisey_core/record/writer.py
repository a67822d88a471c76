"""The record's writer: one thread that commits in groups, and the front that the event loop appends to.

A commit takes everything that waits: the events, one log leaf for each stream that it touches, one signed checkpoint for each
tenant. Whoever waits is released when the store says that it is durable, all together. What nobody waits for may linger 5 ms,
so that a gated command does not queue behind it. A crash before the store's commit loses only what nobody was told; a crash
after it is the same as no crash. Positions are given on arrival; if a commit fails, everything after it fails too, and the
streams are read again from the store before anything new is taken.

Several processes may write one tenant's log. Each commit is made where the log stands once the store has locked it; who finds
it moved goes on from there if the tenant's key signed that place, and never from anything else. A stream has one writer (the
store refuses a second one's events), except for those that are appended to as shared: their places are given under the lock.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
    StoreTrouble,
    StreamHead,
    StreamSealed,
    StreamWrite,
    TenantKey,
    UnknownTenant,
)
from caisey_core.record.verify import Broken, signed_log, signed_stream

T = TypeVar("T")

LINGER_SECONDS = 0.005
TRY_AGAIN_SECONDS = 1.0
LARGEST_GROUP = 8 << 20  # bytes of one commit

_CHANGED = "The record was changed by somebody who is not Caisey ({what}). Find the place with caisey verify; restore a backup."


class Entry(Struct, frozen=True):
    """An event's exact bytes, and the disclosure that lies beside it."""

    event: bytes
    disclosure: Disclosure | None = None


class Ticket(Struct, frozen=True):
    """Where the first of the entries stands, and the moment when all of them are durable (or RecordUnavailable)."""

    first: int
    durable: asyncio.Future[int]


@dataclass(slots=True)
class _Stream:
    tenant: UUID
    name: str
    size: int = 0  # the loop's: including what is on its way
    sealed: bool = False
    shared: bool = False  # other processes append to it as well
    durable: Frontier = field(default_factory=Frontier)  # the writer thread's
    moves: int = -1  # the writer thread's, of a shared stream: which move of the log by others `durable` goes with


@dataclass(slots=True)
class _Pending:
    stream: _Stream
    entries: Sequence[Entry]
    leaves: Sequence[bytes]
    durable: asyncio.Future[int]
    seal: bool
    weight: int
    first: int = 0


@dataclass(slots=True)
class _Log:
    key: Ed25519PrivateKey
    kept: TenantKey
    frontier: Frontier
    moves: int = 0  # how often another process was found to have moved it


@dataclass(slots=True)
class _Growth:
    """What one commit adds to a stream."""

    pending: list[_Pending] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)


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
        """Load the tenants' keys and begin to write.

        Raises KeyTrouble if the master key does not fit, StoreTrouble for a log that ends where the tenant's key did not sign.
        """
        self._loop = asyncio.get_running_loop()
        for key in self._store.tenants():
            self._logs[key.tenant] = self._log_of(key)
        self._thread.start()

    def _log_of(self, key: TenantKey) -> _Log:
        private = unseal_signing_key(self._master, key.tenant, key.sealed)
        try:
            with self._store.snapshot():
                frontier = signed_log(self._store, key, self._store.log_head(key.tenant))
        except Broken as error:
            raise StoreTrouble(_CHANGED.format(what=f"{key.origin}: {error}")) from error
        return _Log(private, key, frontier)

    async def take_up(self, tenant: UUID) -> None:
        """Load the key of a tenant that another process made meanwhile.

        Raises UnknownTenant if there is none, KeyTrouble and StoreTrouble as `start` does.
        """
        if tenant not in self._logs:
            key = next((key for key in await self._read(self._store.tenants) if key.tenant == tenant), None)
            if key is None:
                raise UnknownTenant(str(tenant))
            self._logs.setdefault(tenant, await self._read(self._log_of, key))

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
        kept = TenantKey(tenant, origin, public, sealed)
        self._store.add_tenant(kept, note)
        self._logs[tenant] = _Log(private, kept, frontier)

    def tenants(self) -> list[UUID]:
        """Return the tenants that have a record here."""
        return list(self._logs)

    def vkey(self, tenant: UUID) -> str:
        """Return the tenant's public key as a C2SP verifier key."""
        log = self._log(tenant)
        return notes.vkey(log.kept.origin, log.kept.public)

    def _log(self, tenant: UUID) -> _Log:
        try:
            return self._logs[tenant]
        except KeyError:
            raise UnknownTenant(str(tenant)) from None

    async def checkpoint(self, tenant: UUID) -> str:
        """Return the tenant's newest signed checkpoint."""
        return await self._read(self._store.checkpoint, tenant)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read(self, tenant: UUID, stream: str, start: int = 0, limit: int = 1000) -> list[Recorded]:
        """Return durable events of a stream from `start` on."""
        return await self._read(self._store.read, tenant, stream, start, limit)

    async def size(self, tenant: UUID, stream: str) -> int:
        """Return how many events of a stream are durable, whoever wrote them."""
        head = await self._read(self._store.head, tenant, stream)
        return head.size if head is not None else 0

    async def streams(self, tenant: UUID) -> list[StreamHead]:
        """Return all streams of a tenant."""
        return await self._read(self._store.heads, tenant)

    async def open_streams(self, tenant: UUID) -> list[StreamHead]:
        """Return the streams that are not sealed and that no other living process writes: those that may be taken up."""
        return await self._read(self._store.free, tenant)

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
        """Prepare to append to a stream that exists and return its size; once is enough while the process lives.

        Raises StoreTrouble for a stream that is not where the tenant's log says.
        """
        found = self._streams.get((tenant, stream))
        if found is None:
            try:
                head = await self._read(self._standing, tenant, stream)
            except Broken as error:
                raise StoreTrouble(_CHANGED.format(what=error)) from error
            found = self._streams.setdefault((tenant, stream), _Stream(tenant, stream))
            if head is not None and found.size == 0:
                self._set(found, head)
        return found.size

    def _standing(self, tenant: UUID, stream: str) -> StreamHead | None:
        """Return where a stream stands, if that is where the tenant's log says; what nobody signed is not continued."""
        with self._store.snapshot():
            return signed_stream(self._store, tenant, stream)

    @staticmethod
    def _set(stream: _Stream, head: StreamHead) -> None:
        stream.size, stream.sealed = head.size, head.sealed
        stream.durable = Frontier.decode(head.size, head.frontier)

    def append(self, tenant: UUID, stream: str, entries: Sequence[Entry], *, urgent: bool = True, seal: bool = False) -> Ticket:
        """Give entries their places now and write them soon. `seal` makes them the stream's last.

        A stream begins with its first append; one that exists must have been opened once, otherwise its ticket fails.
        Raises RecordUnavailable while the record is held, StreamSealed, UnknownTenant.
        """
        found = self._writable(tenant, stream)
        if found.shared:
            raise ValueError(f"{stream} is shared: its places are given by append_shared")
        first = found.size
        found.size += len(entries)
        found.sealed = seal
        return Ticket(first, self._enqueue(found, entries, urgent=urgent, seal=seal))

    async def append_shared(self, tenant: UUID, stream: str, entries: Sequence[Entry]) -> int:
        """Append to a stream that several processes write; return, once all is durable, where the first of the entries stands.

        Raises RecordUnavailable, UnknownTenant.
        """
        found = self._writable(tenant, stream)
        found.shared = True
        return await self._enqueue(found, entries, urgent=True, seal=False)

    def _writable(self, tenant: UUID, stream: str) -> _Stream:
        if self.held or self._failing or self._stop:
            raise RecordUnavailable("the record cannot be written now")
        self._log(tenant)
        found = self._streams.get((tenant, stream))
        if found is None:
            found = self._streams[tenant, stream] = _Stream(tenant, stream)
        if found.sealed:
            raise StreamSealed(stream)
        return found

    def _enqueue(self, stream: _Stream, entries: Sequence[Entry], *, urgent: bool, seal: bool) -> asyncio.Future[int]:
        weight, leaves = 0, []
        for entry in entries:
            leaves.append(leaf_hash(entry.event))
            weight += len(entry.event)
            if entry.disclosure is not None:
                for text in entry.disclosure.texts:
                    weight += len(text)
        future: asyncio.Future[int] = self._loop.create_future()
        pending = _Pending(stream, entries, leaves, future, seal, weight)
        self.backlog_bytes += weight
        with self._wake:
            self._waiting.append(pending)
            if urgent or len(self._waiting) == 1:
                self._urgent = self._urgent or urgent
                self._wake.notify()
        return future

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
        grown: dict[int, tuple[_Stream, _Growth]] = {}
        for pending in group:
            grown.setdefault(id(pending.stream), (pending.stream, _Growth()))[1].pending.append(pending)
        logs: list[tuple[_Log, Frontier]] = []
        tenants = sorted({stream.tenant for stream, _ in grown.values()})
        self._store.commit(tenants, lambda heads: self._prepare(list(grown.values()), heads, logs))
        for stream, growth in grown.values():
            stream.durable = growth.frontier
        for log, frontier in logs:
            log.frontier = frontier

    def _prepare(
        self, grown: Sequence[tuple[_Stream, _Growth]], heads: Mapping[UUID, LogHead], logs: list[tuple[_Log, Frontier]]
    ) -> tuple[list[StreamWrite], list[LogWrite]]:
        """Say what to write where the logs stand; the store holds them still. `logs` gets their frontiers afterwards."""
        for tenant, head in heads.items():
            log = self._logs[tenant]
            if (head.size, head.frontier) != (log.frontier.size, log.frontier.encode()):
                log.frontier = signed_log(self._store, log.kept, head)
                log.moves += 1
        writes, leaves = [], dict[UUID, list[LogLeaf]]()
        for stream, growth in grown:
            self._catch_up(stream)
            growth.frontier = frontier = stream.durable.copy()
            events: list[tuple[bytes, Disclosure | None]] = []
            for pending in growth.pending:
                pending.first = frontier.size
                frontier.extend(pending.leaves)
                events.extend((entry.event, entry.disclosure) for entry in pending.entries)
            head_then = StreamHead(stream.name, frontier.size, frontier.encode(), any(one.seal for one in growth.pending))
            writes.append(StreamWrite(stream.tenant, stream.durable.size, events, head_then))
            leaves.setdefault(stream.tenant, []).append(LogLeaf(stream.name, frontier.size, frontier.root))
        log_writes = []
        for tenant, added in leaves.items():
            log = self._logs[tenant]
            frontier = log.frontier.copy()
            for one in added:
                frontier.append(leaf_hash(one.data()))
            note = notes.sign(notes.Checkpoint(log.kept.origin, frontier.size, frontier.root), log.key)
            log_writes.append(LogWrite(tenant, log.frontier.size, added, LogHead(frontier.size, frontier.encode()), note))
            logs.append((log, frontier))
        return writes, log_writes

    def _catch_up(self, stream: _Stream) -> None:
        """Read a shared stream again if others wrote to the log since it was read; under the lock."""
        moves = self._logs[stream.tenant].moves
        if stream.shared and stream.moves != moves:
            head = signed_stream(self._store, stream.tenant, stream.name)
            stream.durable = Frontier.decode(head.size, head.frontier) if head is not None else Frontier()
            stream.moves = moves

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
                with self._store.snapshot():
                    heads = {name: self._head_again(stream) for name, stream in list(self._streams.items())}
                    logs = {
                        tenant: signed_log(self._store, log.kept, self._store.log_head(tenant))
                        for tenant, log in list(self._logs.items())
                    }
            except Exception:  # noqa: S112 - still failing: whoever asks is told so by `held`
                continue
            told = threading.Event()
            self._loop.call_soon_threadsafe(self._resume, heads, logs, told)
            while not told.wait(0.1):
                if self._stop:
                    return False
            return True

    def _head_again(self, stream: _Stream) -> StreamHead | None:
        head = self._store.head(stream.tenant, stream.name)
        known = (stream.durable.size, stream.durable.encode())
        if head is not None and (head.sealed or (head.size, head.frontier) == known):
            return head  # nothing of it was signed by anybody else, or nothing will be
        return signed_stream(self._store, stream.tenant, stream.name)

    # --- back on the loop --------------------------------------------------------------------------------------------

    def _written(self, group: list[_Pending]) -> None:
        for pending in group:
            self.backlog_bytes -= pending.weight
            if not pending.durable.done():
                pending.durable.set_result(pending.first)
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
        self, heads: dict[tuple[UUID, str], StreamHead | None], logs: dict[UUID, Frontier], told: threading.Event
    ) -> None:
        for name, stream in self._streams.items():
            head = heads.get(name)
            self._set(stream, head if head is not None else StreamHead(stream.name, 0, b"", sealed=False))
        for tenant, frontier in logs.items():
            self._logs[tenant].frontier = frontier
            self._logs[tenant].moves += 1
        self.held = False
        told.set()
        for resumed in self.on_resumed:
            resumed()
