"""What devices tell: each frame becomes an event of its session, is shown, and is confirmed to the device once it is durable."""

import hashlib
from uuid import UUID

import msgspec

from caisey_agent.protocol import consent, receipt
from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.events import Actor
from caisey_core.domain.refused import Refused
from caisey_core.live.news import News
from caisey_core.live.roster import RosterDevice
from caisey_core.record.commitment import Disclosure
from caisey_core.record.writer import Ticket
from caisey_core.services import closing, screen
from caisey_core.services.house import House, log
from caisey_core.services.journal import HELD, STAMPED, OpenSession, words

Receipt = receipt.CommandReceipt | receipt.TransferReceipt

LONGEST_REASON = 500  # characters of a device's own words
LONGEST_LATER = 24 * 3600  # seconds that an answer may be put off


class Distrusted(Exception):
    """The device sent what its key did not sign, or what makes no sense. The link ends with these words."""


class RecordHeld(Exception):
    """The record cannot be written: the link ends, the device keeps its frames and comes back."""


def latest(house: House, device: RosterDevice, frame: f.Facts | f.Heartbeat | f.Echo | f.Receiving) -> None:
    """Take a frame of which only the newest counts."""
    now = house.clock.now()
    match frame:
        case f.Facts():
            changed = device.facts is None or (frame.user, frame.system) != (device.facts.user, device.facts.system)
            device.facts, device.facts_at = frame, now
            house.live.roster.set_online(device, True, now)
            if changed:
                house.live.news.tell(device.tenant, News("device", device.id))
        case f.Heartbeat():
            house.live.roster.set_online(device, True, now)
        case f.Echo():
            if (session := _session(house, device, frame.session)) is not None:
                session.hidden_typing = not frame.visible
        case f.Receiving():
            if _session(house, device, frame.session) is not None:
                house.transfers.progress(frame.session, frame.transfer, frame.size)


def numbered(house: House, device: RosterDevice, number: int, frame: f.ToServer) -> None:
    """Take a frame that must not be lost. Raises Distrusted and RecordHeld."""
    link = house.live.links.of(device.id)
    if number <= link.received:
        return
    session = _session(house, device, frame.session)
    if session is None:
        link.arrived(number, None)  # sealed, or never ours: there is nowhere to write it
        return
    if isinstance(frame, f.FileChunk):
        house.transfers.chunk(frame)
        link.arrived(number, None)
        return
    if isinstance(frame, f.SessionClosed):
        session.closed_by_device = True
        link.arrived(number, None)
        house.spawn(closing.seal(house, session), "seal")
        return
    if isinstance(frame, f.ConsentEnded):
        link.arrived(number, None)  # the server's own clock writes the event
        return
    event, disclosure = _event(session, device, number, frame, house.clock.now())
    # nobody waits for a beginning: written with what follows it, it does not hold up the end of a short command
    urgent = not isinstance(event, e.OutputReceived | e.CommandStarted)
    outcome = house.journal.propose(session, event, disclosure, urgent=urgent)
    if outcome is HELD:
        raise RecordHeld
    if isinstance(outcome, Refused):
        log.info("told too late", session=str(session.id), told=type(event).__name__, reason=outcome.reason)
    link.arrived(number, outcome.durable if isinstance(outcome, Ticket) else None)
    if isinstance(outcome, Ticket):
        if isinstance(frame, f.Output):
            screen.output(house, session.id, outcome.first, frame.command, frame.data)
        _aftermath(house, session, frame, event)


def _session(house: House, device: RosterDevice, session: UUID) -> OpenSession | None:
    """Return the session if it is this device's: one device's key speaks for one device."""
    found = house.journal.open.get(session)
    return found if found is not None and found.device == device.id else None


def _aftermath(house: House, session: OpenSession, frame: f.ToServer, event: e.SessionEvent) -> None:
    match frame:
        case f.TransferEnded():
            assert isinstance(event, e.TransferFinished)
            house.transfers.finished(session.id, frame.transfer, event.content)
        case f.TransferFailed():
            house.transfers.failed(session.id, frame.transfer, frame.reason[:LONGEST_REASON])
        case f.NotRun(subject=UUID() as subject):
            house.transfers.failed(session.id, subject, frame.reason[:LONGEST_REASON])
    if isinstance(event, e.ConsentDenied | e.ConsentWithdrawn):
        house.transfers.end_of(session.id)


def _event(
    session: OpenSession, device: RosterDevice, number: int, frame: f.ToServer, now: int
) -> tuple[e.SessionEvent, Disclosure | None]:
    """Return the frame as an event; signatures are checked here, before anything is believed."""
    actor = Actor("device", str(device.id), device.name)
    match frame:
        case f.PromptShown():
            return e.PromptShown(actor=actor, at=STAMPED, frame=number, how=frame.how, device_at=frame.at), None
        case f.Answered():
            return _answer(session, device, actor, number, frame, now), None
        case f.Withdrew():
            return _withdrawal(session, device, actor, number, frame), None
        case f.ShellStarted():
            return e.ShellStarted(actor=actor, at=STAMPED, frame=number, shell=frame.shell, account=frame.account), None
        case f.ShellEnded():
            said = words(frame.reason[:LONGEST_REASON])
            return e.ShellEnded(actor=actor, at=STAMPED, frame=number, reason=said.contents[0]), said.disclosure
        case f.Started():
            return e.CommandStarted(actor=actor, at=STAMPED, frame=number, command=frame.command, device_at=frame.at), None
        case f.Output():
            said = words(frame.data)
            event = e.OutputReceived(actor=actor, at=STAMPED, frame=number, command=frame.command, output=said.contents[0])
            return event, said.disclosure
        case f.OutputCut():
            return e.OutputCut(
                actor=actor, at=STAMPED, frame=number, command=frame.command, size=frame.size, content=frame.content
            ), None
        case f.Finished():
            return _finished(session, device, actor, number, frame)
        case f.NotRun():
            said = words(frame.reason[:LONGEST_REASON])
            return e.NotRun(
                actor=actor, at=STAMPED, frame=number, subject=frame.subject, reason=said.contents[0], lost=frame.lost
            ), said.disclosure
        case f.TransferEnded():
            return _transferred(session, device, actor, number, frame), None
        case f.TransferFailed():
            said = words(frame.reason[:LONGEST_REASON])
            return e.TransferFailed(
                actor=actor, at=STAMPED, frame=number, transfer=frame.transfer, reason=said.contents[0]
            ), said.disclosure
    raise Distrusted(f"The device sent {type(frame).__name__}, which does not belong here.")


def _answer(
    session: OpenSession, device: RosterDevice, actor: Actor, number: int, frame: f.Answered, now: int
) -> e.SessionEvent:
    ask = session.state.ask
    try:
        answer = consent.decode_statement(frame.answer)
    except msgspec.DecodeError as error:
        raise Distrusted("The device's answer does not decode.") from error
    if not isinstance(answer, consent.ConsentAnswer) or answer.session != session.id or answer.device != device.id:
        raise Distrusted("The device's answer is for another session or device.")
    if ask is not None:
        if answer.request != hashlib.sha256(ask.request).digest() or not consent.holds(
            device.key, ask.request, frame.answer, frame.signature
        ):
            raise Distrusted("The device's answer is not signed by its key over what was asked.")
        asked = consent.decode_request(ask.request)
        if not set(answer.scopes) <= set(asked.scopes) or not 0 <= answer.duration_seconds <= asked.duration_seconds:
            raise Distrusted("The device's answer grants more than was asked.")
    if answer.decision == "granted":
        return e.ConsentGranted(
            actor=actor,
            at=now,
            frame=number,
            answer=frame.answer,
            signature=frame.signature,
            who=answer.who,
            how=answer.how,
            scopes=tuple(answer.scopes),
            until=now + answer.duration_seconds * 1_000_000,
            device_at=answer.at,
            skew_us=answer.at - now,
        )
    if answer.decision == "denied":
        return e.ConsentDenied(
            actor=actor,
            at=now,
            frame=number,
            answer=frame.answer,
            signature=frame.signature,
            who=answer.who,
            how=answer.how,
            device_at=answer.at,
        )
    again_at = now + min(max(answer.later_seconds, 60), LONGEST_LATER) * 1_000_000
    patience = ask.expires_at - ask.asked_at if ask is not None else 0
    return e.ConsentPostponed(
        actor=actor,
        at=now,
        frame=number,
        answer=frame.answer,
        signature=frame.signature,
        who=answer.who,
        how=answer.how,
        device_at=answer.at,
        again_at=again_at,
        expires_at=again_at + patience,
    )


def _withdrawal(session: OpenSession, device: RosterDevice, actor: Actor, number: int, frame: f.Withdrew) -> e.SessionEvent:
    try:
        said = consent.decode_statement(frame.withdrawal)
    except msgspec.DecodeError as error:
        raise Distrusted("The device's withdrawal does not decode.") from error
    given = session.state.consent
    if (
        not isinstance(said, consent.ConsentWithdrawal)
        or said.session != session.id
        or said.device != device.id
        or given is None
        or not consent.holds(device.key, given.request, frame.withdrawal, frame.signature)
    ):
        raise Distrusted("The device's withdrawal is not signed by its key for this session.")
    return e.ConsentWithdrawn(
        actor=actor,
        at=STAMPED,
        frame=number,
        withdrawal=frame.withdrawal,
        signature=frame.signature,
        who=said.who,
        how=said.how,
        device_at=said.at,
    )


def _receipt(session: OpenSession, device: RosterDevice, data: bytes, signature: bytes) -> Receipt:
    try:
        said = receipt.decode(data)
    except msgspec.DecodeError as error:
        raise Distrusted("The device's receipt does not decode.") from error
    if said.session != session.id or not receipt.holds(device.key, data, signature):
        raise Distrusted("The device's receipt is not signed by its key for this session.")
    return said


def _finished(
    session: OpenSession, device: RosterDevice, actor: Actor, number: int, frame: f.Finished
) -> tuple[e.SessionEvent, Disclosure | None]:
    said = _receipt(session, device, frame.receipt, frame.signature)
    if not isinstance(said, receipt.CommandReceipt) or said.command != frame.command:
        raise Distrusted("The device's receipt is for another command.")
    where = words(frame.directory)
    event = e.CommandFinished(
        actor=actor,
        at=STAMPED,
        frame=number,
        command=frame.command,
        exit_code=said.exit_code,
        duration_ns=said.duration_ns,
        directory=where.contents[0],
        receipt=frame.receipt,
        signature=frame.signature,
    )
    return event, where.disclosure


def _transferred(
    session: OpenSession, device: RosterDevice, actor: Actor, number: int, frame: f.TransferEnded
) -> e.SessionEvent:
    said = _receipt(session, device, frame.receipt, frame.signature)
    if not isinstance(said, receipt.TransferReceipt) or said.transfer != frame.transfer:
        raise Distrusted("The device's receipt is for another transfer.")
    return e.TransferFinished(
        actor=actor,
        at=STAMPED,
        frame=number,
        transfer=frame.transfer,
        size=said.size,
        content=said.content,
        receipt=frame.receipt,
        signature=frame.signature,
    )
