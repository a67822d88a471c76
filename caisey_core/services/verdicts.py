"""Verdicts for pages: what was verified once in this process is kept, and only what is new is verified.

A sealed session's verdict is kept as long as its stream's head and the tenant's log say what they said when it was made. An open
session is verified on from where the last look ended. A verdict that is not good is never kept: it is made from scratch, which
names the place. `anew` forgets everything about the session and its tenant and reads all of it again.
"""

import asyncio
import sqlite3
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from caisey_core.clock import Clock
from caisey_core.domain import events as e
from caisey_core.record.follow import FollowedLog, FollowedStream
from caisey_core.record.store import Store, StreamHead, TenantKey, UnknownTenant, Unreadable
from caisey_core.record.verify import Broken
from caisey_core.record.writer import Record
from caisey_core.services.session_check import AUDIT, Devices, SessionCheck
from caisey_core.services.verification import verify_session_in
from caisey_core.services.views import Proof

MOST_OPEN = 64  # open sessions that can be verified on; a further one is verified from its start
MOST_KEPT = 20_000  # verdicts on sealed sessions


@dataclass
class _Tenant:
    key: TenantKey
    log: FollowedLog
    audit: FollowedStream[e.AnyEvent | e.Unknown]
    devices: Devices = field(default_factory=Devices)


@dataclass
class _Followed:
    stream: FollowedStream[e.AnyEvent | e.Unknown]
    check: SessionCheck


@dataclass
class _Kept:
    head: StreamHead
    claim: tuple[int, bytes]
    erased: bool
    proof: Proof


class Verdicts:
    """Verdicts on the sessions of all tenants. Methods are for the event loop; the work is done in one thread of its own."""

    def __init__(self, record: Record, clock: Clock) -> None:
        self._record, self._clock = record, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="verdicts")
        self._tenants: dict[UUID, _Tenant] = {}
        self._followed: OrderedDict[UUID, _Followed] = OrderedDict()
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()
        self._asked: dict[UUID, asyncio.Task[Proof]] = {}

    async def of(self, tenant: UUID, session: UUID) -> Proof:
        """Return the verdict on a session as its record stands now."""
        task = self._asked.get(session)
        if task is None:
            work = self._record.in_reader(lambda store: self._look(store, tenant, session), self._thread)
            task = self._asked[session] = asyncio.ensure_future(work)
            task.add_done_callback(lambda _: self._asked.pop(session, None))
        return await asyncio.shield(task)  # who asks next may still wait for it

    async def within(self, seconds: float, tenant: UUID, session: UUID) -> Proof | None:
        """Return the verdict if it is there within this time; it is made on meanwhile."""
        try:
            return await asyncio.wait_for(self.of(tenant, session), seconds)
        except TimeoutError:
            return None

    async def anew(self, tenant: UUID, session: UUID) -> Proof:
        """Return the verdict after reading and checking everything again, every older checkpoint as well."""
        return await self._record.in_reader(lambda store: self._from_scratch(store, tenant, session), self._thread)

    def forget(self, session: UUID) -> None:
        """Let the next look at this session begin at its start: what lies beside its events changed, or seems to."""
        self._kept.pop(session, None)
        self._followed.pop(session, None)

    def close(self) -> None:
        """Stop after what is being verified."""
        self._thread.shutdown(cancel_futures=True)

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _look(self, store: Store, tenant: UUID, session: UUID) -> Proof:
        try:
            return self._incremental(store, tenant, session)
        except (Broken, Unreadable, sqlite3.Error, msgspec.DecodeError, ValueError, TypeError):
            return self._from_scratch(store, tenant, session)  # it names the place, and has the last word

    def _from_scratch(self, store: Store, tenant: UUID, session: UUID) -> Proof:
        self.forget(session)
        self._tenants.pop(tenant, None)
        verdict = verify_session_in(store, tenant, session)
        now = self._clock.now()
        if verdict.ok:
            return Proof(ok=True, sentence=verdict.sentence, proved=verdict.proved, at=now)
        return Proof(ok=False, sentence="The record does not hold.", proved=verdict.proved, broken=verdict.broken, at=now)

    def _incremental(self, store: Store, tenant: UUID, session: UUID) -> Proof:
        stream = f"session/{session}"
        found = self._tenants.get(tenant)
        if found is None:
            found = self._follow(store, tenant)
        head = store.head(tenant, stream)
        found.log.go_on(store)
        if head is None:
            raise Broken("this session has no record", stream)
        devices = found.devices
        found.audit.go_on(store, found.log, lambda row, event: devices.take(row.position, event))
        self._tenants[tenant] = found
        claim, erased = found.log.claim(stream), stream in found.devices.erased
        if (kept := self._kept.get(session)) is not None and (kept.head, kept.claim, kept.erased) == (head, claim, erased):
            return kept.proof
        followed = self._followed.pop(session, None)  # back only if it holds
        if followed is None:
            check = SessionCheck(stream, Devices(keys=found.devices.keys, erased=found.devices.erased))
            followed = _Followed(FollowedStream(found.key, stream, e.read), check)
        followed.stream.go_on(store, found.log, followed.check.take, erased=erased)
        if head.sealed != followed.check.state.sealed:
            raise Broken("the stream's seal is not what its events say", stream)
        check = followed.check
        proof = Proof(ok=True, sentence=check.sentence(), proved=check.proved(), at=self._clock.now())
        if head.sealed:
            self._kept[session] = _Kept(head, claim, erased, proof)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        else:
            self._followed[session] = followed
            if len(self._followed) > MOST_OPEN:
                self._followed.popitem(last=False)
        return proof

    @staticmethod
    def _follow(store: Store, tenant: UUID) -> _Tenant:
        key = next((key for key in store.tenants() if key.tenant == tenant), None)
        if key is None:
            raise UnknownTenant(str(tenant))
        return _Tenant(key, FollowedLog(key), FollowedStream(key, AUDIT, e.read))
