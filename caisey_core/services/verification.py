"""The verdict on records: what the structure proves, and what the events mean under the keys of the devices.

Used by `caisey verify` on a whole data folder and by the review page on one session; both say the same.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct

from caisey_agent.protocol import consent, history, receipt
from caisey_agent.protocol.receipt import NO_RECEIPT
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.session import Session, decide, evolve
from caisey_core.record import checkpoint as notes
from caisey_core.record.store import Recorded, Store, StreamHead, TenantKey, UnknownTenant, Unreadable
from caisey_core.record.stores import open_store
from caisey_core.record.verify import Broken, Log, events_of, roots_at, verify_log, verify_stream
from caisey_core.record.writer import Record

AUDIT = "audit"
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


@dataclass
class Devices:
    """What the audit log says that sessions need: the devices' public keys, and whose texts were erased; used nonces."""

    keys: dict[str, bytes] = field(default_factory=dict)
    erased: dict[str, e.ContentErased] = field(default_factory=dict)  # by stream
    withheld: bool = False  # the enrolment is not shown here: signatures of the device are not checked, and that is said
    nonces: set[bytes] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    refusals: list[tuple[int, e.WitnessRefused]] = field(default_factory=list)

    def take(self, row: Recorded) -> None:
        """Read an event of the audit log."""
        event = e.decode(row.event)
        if isinstance(event, e.DeviceEnrolled):
            self.keys[str(event.device)] = event.key
            self.names[str(event.device)] = event.name
        elif isinstance(event, e.ContentErased):
            self.erased[f"session/{event.session}"] = event
        elif isinstance(event, e.WitnessRefused):
            if not history.holds(self.keys.get(str(event.device), b""), event.doubt, event.signature):
                raise Broken("the device's refusal is not signed by its key", AUDIT, row.position)
            self.refusals.append((row.position, event))


def commitments(event: bytes) -> Sequence[tuple[bytes, int, int]]:
    """Return the commitments of an event's contents, in order."""
    return [(content.root, content.lines, content.size) for content in e.contents_in(event)]


def time_of(at: int) -> str:
    """Return a time of day, UTC."""
    try:
        return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return "a time that cannot be"


class _Unjudged(Exception):
    """What this event must be compared with is withheld as a whole."""


class SessionCheck:
    """Follows one session's events and checks what they mean. Raises Broken at the first that cannot be."""

    def __init__(self, stream: str, devices: Devices) -> None:
        self._stream, self._devices = stream, devices
        self.erased = devices.erased.get(stream)
        self.state = Session()
        self.consent_at: int | None = None
        self.first_work: int | None = None
        self.receipts = 0
        self.acts = 0  # commands and files
        self.unreceipted: set[UUID] = set()  # of them, those whose end the device did not sign
        self.not_done = 0
        self.events = 0
        self._lines: dict[UUID, bytes | None] = {}
        self._paths: dict[UUID, bytes | None] = {}
        self._outputs: dict[UUID, tuple[hashlib._Hash | None, int]] = {}
        self._previous: bytes | None = NO_RECEIPT  # None: a receipt may have been withheld since
        self._position = 0
        self._mono = 0
        self.uncompared = 0  # receipts for texts that are not wholly known here: signed and chained, but not compared
        self.gaps = 0  # events that are withheld as a whole
        self.unjudged = 0  # events that are shown and depend on what is withheld
        self._begun_at: dict[UUID, int] = {}  # how many gaps there were when a command or transfer was accepted

    def _broken(self, what: str) -> Broken:
        return Broken(what, self._stream, self._position)

    def take(self, row: Recorded) -> None:
        """Check the next event."""
        said = row.disclosure
        self.follow(
            row.position, e.decode(row.event), said.texts if said is not None else (), said.seed if said is not None else None
        )

    def skip(self, position: int) -> None:
        """Pass over an event that is withheld as a whole: what it said is not known, so nothing is concluded from it."""
        self._position = position
        if self.state.sealed:
            raise self._broken("an event follows the seal")
        self.events += 1
        self.gaps += 1
        self._previous = None

    def follow(self, position: int, event: e.AnyEvent | e.Unknown, texts: tuple[bytes | None, ...], seed: bytes | None) -> None:
        """Check the next event.

        None stands for a text of which something is withheld, no texts for none that is known; the seed is there only where
        all of the event's texts are.
        """
        self._position = position
        self.events += 1
        if event.mono < self._mono:
            raise self._broken("the clock that never goes back went back")
        self._mono = event.mono
        if isinstance(event, e.Unknown):
            if self.state.sealed:
                raise self._broken("an event follows the seal")
            return
        if not isinstance(event, e.SessionEvent):
            raise self._broken("this event does not belong to a session")
        try:
            self._meaning(event, texts[0] if texts else None, seed)
        except _Unjudged:  # what nobody can check here changes nothing: it must not widen what was agreed
            self.unjudged += 1
            return
        outcome = decide(self.state, event)
        if self.gaps and not self.state.sealed and (isinstance(outcome, Refused) or not outcome):
            self.unjudged += 1
            if not isinstance(event, e.ConsentAsked | e.Sealed):  # those two count whatever came before
                return
        elif isinstance(outcome, Refused) or not outcome:
            reason = outcome.reason if isinstance(outcome, Refused) else "it happened before"
            raise self._broken(f"{type(event).__name__} at {time_of(event.at)} cannot follow here: {reason}")
        self.state = evolve(self.state, event)

    def _meaning(self, event: e.SessionEvent, text: bytes | None, seed: bytes | None) -> None:
        match event:
            case e.SessionRequested():
                if f"session/{event.session}" != self._stream:
                    raise self._broken("this event is of another session")
            case e.ConsentAsked():
                self._asked(event, text, seed)
            case e.ConsentGranted():
                self._granted(event)
            case e.ConsentDenied() | e.ConsentPostponed():
                self._answer(event.answer, event.signature, "denied" if isinstance(event, e.ConsentDenied) else "later")
            case e.ConsentWithdrawn():
                self._withdrawn(event)
            case e.CommandAccepted():
                self._works(event.at)
                self.acts += 1
                self.unreceipted.add(event.command)
                self._lines[event.command] = _digest(seed, text)
                self._outputs[event.command] = (hashlib.sha256(seed) if seed is not None else None, 0)
                self._begun_at[event.command] = self.gaps
            case e.TerminalTyped():
                self._works(event.at)
            case e.TransferAccepted():
                self._works(event.at)
                self.acts += 1
                self.unreceipted.add(event.transfer)
                self._paths[event.transfer] = _digest(seed, text)
            case e.NotRun(lost=False, subject=UUID() as subject) if subject in self.unreceipted:
                self._undone(subject)
            case e.TransferFailed() | e.TransferCancelled() if event.transfer in self.unreceipted:
                self._undone(event.transfer)
            case e.OutputReceived() if event.command in self._outputs:
                assert event.command is not None
                digest, size = self._outputs[event.command]
                if digest is not None and text is not None:
                    digest.update(text)
                self._outputs[event.command] = (digest if text is not None else None, size + event.output.size)
            case e.CommandFinished():
                self._finished(event)
            case e.TransferFinished():
                self._transferred(event)
            case e.Sealed():
                if event.events != self._position:
                    raise self._broken(f"the seal counts {event.events} events, {self._position} came before it")

    def _undone(self, subject: UUID) -> None:
        """No receipt is due: nothing came of it."""
        self.unreceipted.discard(subject)
        self.not_done += 1

    def _works(self, at: int) -> None:
        if self.first_work is None:
            self.first_work = at

    def _holds(self, signed: Callable[[bytes], bool]) -> bool:
        """Ask whether the device signed something; where its key is withheld there is nothing to ask."""
        return self._devices.withheld or signed(self._key())

    def _key(self) -> bytes:
        device = str(self.state.started.device) if self.state.started is not None else ""
        key = self._devices.keys.get(device)
        if self.gaps and self.state.started is None and len(self._devices.keys) == 1:
            (key,) = self._devices.keys.values()  # the session is named in all that is signed
        if key is None:
            raise self._broken("the audit log does not say that this device enrolled")
        return key

    def _asked(self, event: e.ConsentAsked, text: bytes | None, seed: bytes | None) -> None:
        try:
            request = consent.decode_request(event.request)
        except msgspec.DecodeError as error:
            raise self._broken("the request for consent does not decode") from error
        if f"session/{request.session}" != self._stream:
            raise self._broken("the request for consent is for another session")
        if request.nonce in self._devices.nonces:
            raise self._broken("the request for consent repeats a nonce")
        self._devices.nonces.add(request.nonce)
        if (reason := _digest(seed, text)) is not None and reason != request.reason:
            raise self._broken("the reason is not the one that was asked with")

    def _answer(self, data: bytes, signature: bytes, decision: str) -> consent.ConsentAnswer:
        ask = self.state.ask
        try:
            answer = consent.decode_statement(data)
        except msgspec.DecodeError as error:
            raise self._broken("the answer does not decode") from error
        asked = ask is not None and getattr(answer, "request", b"") == hashlib.sha256(ask.request).digest()
        if self.gaps and not asked:
            raise _Unjudged
        if ask is None:
            raise self._broken("an answer without a question")
        if not self._holds(lambda key: consent.holds(key, ask.request, data, signature)):
            raise self._broken("the answer is not signed by the device's key over what was asked")
        if (
            not isinstance(answer, consent.ConsentAnswer)
            or answer.decision != decision
            or f"session/{answer.session}" != self._stream
            or answer.request != hashlib.sha256(ask.request).digest()
        ):
            raise self._broken("the device signed another answer")
        return answer

    def _granted(self, event: e.ConsentGranted) -> None:
        answer = self._answer(event.answer, event.signature, "granted")
        assert self.state.ask is not None
        asked = consent.decode_request(self.state.ask.request)
        if (answer.scopes, answer.who, answer.how, answer.at) != (event.scopes, event.who, event.how, event.device_at):
            raise self._broken("the consent is not what the device signed")
        if not set(answer.scopes) <= set(asked.scopes) or answer.duration_seconds > asked.duration_seconds:
            raise self._broken("the consent grants more than was asked")
        if event.until != event.at + answer.duration_seconds * 1_000_000 or event.skew_us != event.device_at - event.at:
            raise self._broken("the consent's time is not what the device signed")
        if self.consent_at is None:
            self.consent_at = event.at

    def _withdrawn(self, event: e.ConsentWithdrawn) -> None:
        agreed = self.state.consent
        if agreed is None or not self._holds(lambda key: consent.holds(key, agreed.request, event.withdrawal, event.signature)):
            if self.gaps:  # a consent that was given later may be withheld
                self.unjudged += 1
                return
            raise self._broken("the withdrawal is not signed by the device's key")
        said = consent.decode_statement(event.withdrawal)
        if not isinstance(said, consent.ConsentWithdrawal) or (said.who, said.how, said.at) != (
            event.who,
            event.how,
            event.device_at,
        ):
            raise self._broken("the device signed another withdrawal")

    def _receipt(self, data: bytes, signature: bytes) -> receipt.CommandReceipt | receipt.TransferReceipt:
        if not self._holds(lambda key: receipt.holds(key, data, signature)):
            raise self._broken("the receipt is not signed by the device's key")
        try:
            said = receipt.decode(data)
        except msgspec.DecodeError as error:
            raise self._broken("the receipt does not decode") from error
        if f"session/{said.session}" != self._stream or self._previous not in (None, said.previous):
            raise self._broken("the receipt does not follow the one before it")
        self._previous = hashlib.sha256(data).digest()
        self.receipts += 1
        return said

    def _finished(self, event: e.CommandFinished) -> None:
        said = self._receipt(event.receipt, event.signature)
        output: hashlib._Hash | None
        output, size = self._outputs.pop(event.command, (hashlib.sha256(), 0))
        line = self._lines.get(event.command, None if self.gaps else b"")
        whole = self._begun_at.pop(event.command, 0) == self.gaps  # else some of its output may be withheld
        output = output if whole else None
        self.uncompared += line is None or output is None
        if not isinstance(said, receipt.CommandReceipt) or said.command != event.command:
            raise self._broken("the receipt is for something else")
        if line is not None and said.line != line:
            raise self._broken("the device ran another command than the one that is recorded")
        if (whole and said.output_size != size) or (output is not None and said.output != output.digest()):
            raise self._broken("the recorded output is not what the device sent")
        if (said.exit_code, said.duration_ns) != (event.exit_code, event.duration_ns):
            raise self._broken("the recorded end is not what the device signed")
        self.unreceipted.discard(event.command)

    def _transferred(self, event: e.TransferFinished) -> None:
        said = self._receipt(event.receipt, event.signature)
        if not isinstance(said, receipt.TransferReceipt) or said.transfer != event.transfer:
            raise self._broken("the receipt is for something else")
        path = self._paths.get(event.transfer, None if self.gaps else b"")
        self.uncompared += path is None
        if (path is not None and said.path != path) or (said.content, said.size) != (event.content, event.size):
            raise self._broken("the file is not what the device signed for")
        self.unreceipted.discard(event.transfer)

    def sentence(self) -> str:
        """Say in one line what was found."""
        parts = [f"{self.events} events"]
        if self.consent_at is not None:
            day = datetime.fromtimestamp(self.consent_at / 1e6, UTC)
            before = ""
            if self.first_work is not None:
                before = f" before the first work {datetime.fromtimestamp(self.first_work / 1e6, UTC):%H:%M:%S}"
            parts.append(f"consent {day:%H:%M:%S}{before}" + ("" if self._devices.withheld else ", device co-signed"))
        elif self.gaps:
            parts.append("the consent is not shown")
        else:
            parts.append("no consent, no work")
        if self.unreceipted:
            why = "withheld or without" if self.gaps else "without"
            parts.append(f"{len(self.unreceipted)} of {self.acts} commands and files {why} the device's receipt")
        if self.erased is not None:
            parts.append(f"contents erased {time_of(self.erased.at)}")
        if self.gaps:
            parts.append(f"{self.gaps} withheld as a whole")
        return "Verified: " + ", ".join(parts)

    def proved(self) -> tuple[str, ...]:
        """Return a line for each thing that holds."""
        lines = [f"Every one of {self.events} events is where it was written, under roots that the tenant's key signed."]
        signed, acts = not self._devices.withheld, "every act that could be judged" if self.gaps else "every act"
        if self.gaps:
            lines.append(
                f"{self.gaps} of them are withheld as a whole: that they are there is proven, what they say is not shown. "
                f"{self.unjudged} events that are shown depend on them and were not judged."
            )
        if not signed:
            lines.append("The enrolment of the device is withheld: nothing that the device signed could be checked.")
        if self.consent_at is not None:
            said = "The device signed the consent" if signed else "The record tells the consent"
            lines.append(f"{said}, {time_of(self.consent_at)}; {acts} lies within its scope and time.")
        elif self.gaps:
            lines.append("That there was consent before the work cannot be seen here: it, or what was asked, is withheld.")
        if self.acts:
            undone = f"; {self.not_done} came to nothing" if self.not_done else ""
            without = "withheld or without a receipt" if self.gaps else "without a receipt"
            missing = f"; {len(self.unreceipted)} {without}" if self.unreceipted else ""
            kind = "chained and signed" if signed else "unchecked"
            lines.append(
                f"{self.receipts} receipts of the device, {kind}, for {self.acts} commands and files{undone}{missing}."
            )
        if self.erased is not None:
            why = f"{self.erased.actor.name}, {time_of(self.erased.at)}: {self.erased.reason}"
            lines.append(
                f"Its texts were erased ({why}). What they were can be shown by nobody; that they were there, by this record."
            )
        lines.append("The record is sealed: nothing can follow." if self.state.sealed else "The record is still open.")
        return tuple(lines)


def _digest(seed: bytes | None, text: bytes | None) -> bytes | None:
    return hashlib.sha256(seed + text).digest() if seed is not None and text is not None else None


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
    verify_stream(store, key, head, log, commitments, check.take, erased=check.erased is not None)
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
            devices.take(row)
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
        count = verify_stream(store, key, head, log, commitments, lambda _: None)
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
        count = verify_stream(store, key, heads.pop(AUDIT), log, commitments, devices.take)
        proved.append(f"{key.origin}: the audit log holds, {count} events, {len(devices.keys)} devices enrolled.")
        doubted.extend(_doubts(store, key, devices))
    for head in heads.values():
        check = _session(store, key, head, log, devices)
        proved.append(f"{head.stream}: {check.sentence().removeprefix('Verified: ')}.")
