"""The verdict on records: what the structure proves, and what the events mean under the keys of the devices.

Used by `caisey verify` on a whole data folder and by the review page on one session; both say the same.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct

from caisey_agent.protocol import history
from caisey_core.domain import events as e
from caisey_core.record import checkpoint as notes
from caisey_core.record.store import Store, StreamHead, TenantKey, UnknownTenant, Unreadable
from caisey_core.record.stores import open_store
from caisey_core.record.verify import Broken, Log, events_of, roots_at, verify_log, verify_stream
from caisey_core.record.writer import Record
from caisey_core.services.session_check import AUDIT, Devices, SessionCheck, time_of

_NONSENSE: tuple[type[Exception], ...] = (msgspec.DecodeError, ValueError, TypeError, OverflowError)  # in a damaged record
__all__ = ["Verdict", "verify_folder", "verify_session"]


class Verdict(Struct, frozen=True, kw_only=True):
    """`proved` has one line for each thing that was proved; `broken` names the first that does not hold.

    `doubted` has what devices remember and this record does not contain: it holds by itself, but it is not what they saw.
    """

    ok: bool
    proved: tuple[str, ...]
    broken: str = ""
    sentence: str = ""
    doubted: tuple[str, ...] = ()


def _when(store: Store, tenant: UUID, broken: Broken) -> str:
    """Say when what is broken happened, as far as the record still tells; the newest readable event up to it counts."""
    for position in range(broken.position if broken.position is not None else -1, -1, -1):
        try:
            rows = store.read(tenant, broken.stream, position, 1)
            event = e.decode(rows[0].event)
        except (Unreadable, IndexError, ValueError, TypeError):
            continue
        about = "at" if position == broken.position else "after"
        return f" ({about} {time_of(event.at)})"
    return ""


def _session(store: Store, key: TenantKey, head: StreamHead, log: Log, devices: Devices) -> SessionCheck:
    check = SessionCheck(head.stream, devices)
    verify_stream(store, key, head, log, e.read, check.take, erased=check.erased is not None)
    if head.sealed != check.state.sealed:
        raise Broken("the stream's seal is not what its events say", head.stream)
    return check


def verify_session_in(store: Store, tenant: UUID, session: UUID) -> Verdict:
    """Check one session against the tenant's log and the keys of the devices, within one snapshot."""
    stream = f"session/{session}"
    try:
        key = next(found for found in store.tenants() if found.tenant == tenant)
        head = store.head(tenant, stream)
        log = verify_log(store, key)
        if head is None:
            raise Broken("this session has no record", stream)
        devices = Devices()
        for row in events_of(store, tenant, AUDIT):
            devices.take(row.position, e.decode(row.event))
        check = _session(store, key, head, log, devices)
    except StopIteration:
        raise UnknownTenant(str(tenant)) from None
    except Broken as broken:
        return Verdict(ok=False, proved=(), broken=f"{broken}{_when(store, tenant, broken)}")
    except store.failures + _NONSENSE as error:
        return Verdict(ok=False, proved=(), broken=f"{stream}: the record cannot be read ({error})")
    return Verdict(ok=True, proved=check.proved(), sentence=check.sentence())


def verify_audit_in(store: Store, tenant: UUID) -> Verdict:
    """Check a tenant's audit log against the tenant's log, within one snapshot."""
    try:
        key = next(found for found in store.tenants() if found.tenant == tenant)
        log = verify_log(store, key)
        head = store.head(tenant, AUDIT)
        if head is None:
            raise Broken("there is no audit log", AUDIT)
        count = verify_stream(store, key, head, log, e.read, lambda *_: None)
    except Broken as broken:
        return Verdict(ok=False, proved=(), broken=f"{broken}{_when(store, tenant, broken)}")
    except store.failures + _NONSENSE as error:
        return Verdict(ok=False, proved=(), broken=f"{AUDIT}: the record cannot be read ({error})")
    proved = (f"Every one of {count} entries is where it was written, under roots that the tenant's key signed.",)
    return Verdict(ok=True, proved=proved, sentence=f"Verified: {count} entries, {log.checkpoints} signed checkpoints")


async def verify_audit(record: Record, tenant: UUID) -> Verdict:
    """Check the audit log of a running server, beside its work."""
    return await record.in_reader(lambda store: verify_audit_in(store, tenant))


async def verify_session(record: Record, tenant: UUID, session: UUID) -> Verdict:
    """Check one session of a running server, beside its work."""
    return await record.in_reader(lambda store: verify_session_in(store, tenant, session))


def verify_folder(data: Path, database: str = "") -> Verdict:
    """Check everything in a data folder and its database, also while it is served. Raises StoreTrouble if there is no record."""
    store = open_store(data, database)
    try:
        with store.snapshot():
            return verify_store(store)
    finally:
        store.close()


def verify_store(store: Store) -> Verdict:
    """Check everything in a record, within one snapshot."""
    proved: list[str] = []
    doubted: list[str] = []
    try:
        for key in store.tenants():
            try:
                _tenant(store, key, proved, doubted)
            except Broken as broken:
                return Verdict(ok=False, proved=tuple(proved), broken=f"{broken}{_when(store, key.tenant, broken)}")
        if stray := store.strays():
            raise Broken(stray)
        proved.append("Nothing lies in the record that no tenant, stream or position accounts for.")
    except Broken as broken:
        return Verdict(ok=False, proved=tuple(proved), broken=str(broken))
    except store.failures + _NONSENSE as error:
        return Verdict(ok=False, proved=tuple(proved), broken=f"the record cannot be read ({error})")
    return Verdict(ok=True, proved=tuple(proved), sentence="Verified", doubted=tuple(doubted))


def _doubts(store: Store, key: TenantKey, devices: Devices) -> Iterator[str]:
    """Say which signed checkpoints devices remember that this record does not contain."""
    remembered: dict[str, notes.Checkpoint] = {}
    for _, event in devices.refusals:
        with contextlib.suppress(notes.NotACheckpoint, msgspec.DecodeError):
            note = history.decode(event.doubt).remembered
            remembered[note] = notes.verify(note, key.origin, key.public)
    roots = roots_at(store, key.tenant, {checkpoint.size for checkpoint in remembered.values()})
    for position, event in devices.refusals:
        checkpoint = remembered.get(history.decode(event.doubt).remembered)
        if checkpoint is not None and roots.get(checkpoint.size) != checkpoint.root:
            name = devices.names.get(str(event.device), "a device")
            yield (
                f"{name} remembers a checkpoint of size {checkpoint.size}, signed by the tenant's key, that this record does not "
                f"contain: it was cut or replaced before {time_of(event.at)} ({AUDIT}, event {position})."
            )


def _tenant(store: Store, key: TenantKey, proved: list[str], doubted: list[str]) -> None:
    heads = {head.stream: head for head in store.heads(key.tenant)}
    log = verify_log(store, key)
    if unknown := log.claims.keys() - heads.keys():
        raise Broken("this stream was signed and is gone", min(unknown))
    proved.append(f"{key.origin}: {log.checkpoints} checkpoints, signed by the tenant's key, over {log.size} leaves.")
    devices = Devices()
    if AUDIT in heads:
        count = verify_stream(store, key, heads.pop(AUDIT), log, e.read, lambda row, event: devices.take(row.position, event))
        proved.append(f"{key.origin}: the audit log holds, {count} events, {len(devices.keys)} devices enrolled.")
        doubted.extend(_doubts(store, key, devices))
    for head in heads.values():
        check = _session(store, key, head, log, devices)
        proved.append(f"{head.stream}: {check.sentence().removeprefix('Verified: ')}.")
