"""What one session's events mean: whether they can follow one another, and hold under the keys of the devices.

Followed event by event, by whoever checks that the events themselves are what was signed.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from caisey_agent.protocol import consent, history
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.session import Session, decide, evolve
from caisey_core.record.store import Recorded
from caisey_core.record.verify import Broken
from caisey_core.services.receipts import Mismatch, Receipts, digest

AUDIT = "audit"
__all__ = ["AUDIT", "Devices", "SessionCheck", "time_of"]


@dataclass
class Devices:
    """What the audit log says that sessions need: the devices' public keys, and whose texts were erased; used nonces."""

    keys: dict[str, bytes] = field(default_factory=dict)
    erased: dict[str, e.ContentErased] = field(default_factory=dict)  # by stream
    withheld: bool = False  # the enrolment is not shown here: signatures of the device are not checked, and that is said
    nonces: set[bytes] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    refusals: list[tuple[int, e.WitnessRefused]] = field(default_factory=list)

    def take(self, position: int, event: e.AnyEvent | e.Unknown) -> None:
        """Note an event of the audit log."""
        if isinstance(event, e.DeviceEnrolled):
            self.keys[str(event.device)] = event.key
            self.names[str(event.device)] = event.name
        elif isinstance(event, e.ContentErased):
            self.erased[f"session/{event.session}"] = event
        elif isinstance(event, e.WitnessRefused):
            if not history.holds(self.keys.get(str(event.device), b""), event.doubt, event.signature):
                raise Broken("the device's refusal is not signed by its key", AUDIT, position)
            self.refusals.append((position, event))


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
        self.events = 0
        self._position = 0
        self._mono = 0
        self.unknown = 0  # events of kinds that this version does not know
        self.gaps = 0  # events that are withheld as a whole
        self.unjudged = 0  # events that are shown and depend on what is withheld
        self.receipts = Receipts(stream, self._holds)

    def _broken(self, what: str) -> Broken:
        return Broken(what, self._stream, self._position)

    def take(self, row: Recorded, event: e.AnyEvent | e.Unknown) -> None:
        """Check the next event, which is that of this row."""
        said = row.disclosure
        self.follow(row.position, event, said.texts if said is not None else (), said.seed if said is not None else None)

    def skip(self, position: int) -> None:
        """Pass over an event that is withheld as a whole: what it said is not known, so nothing is concluded from it."""
        self._position = position
        if self.state.sealed:
            raise self._broken("an event follows the seal")
        self.events += 1
        self.gaps += 1
        self.receipts.skip()

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
        if not e.of_session(event):
            if not isinstance(event, e.Unknown):
                raise self._broken("this event does not belong to a session")
            if self.state.sealed:
                raise self._broken("an event follows the seal")
            self.unknown += 1
            return
        try:
            self._meaning(event, texts[0] if texts else None, seed)
        except Mismatch as error:
            raise self._broken(str(error)) from error
        except _Unjudged:  # what nobody can check here changes nothing: it must not widen what was agreed
            self.unjudged += 1
            return
        outcome = decide(self.state, event)
        if not isinstance(outcome, tuple) or not outcome:
            if not self.gaps or self.state.sealed:
                reason = outcome.reason if isinstance(outcome, Refused) else "it happened before"
                raise self._broken(f"{type(event).__name__} at {time_of(event.at)} cannot follow here: {reason}")
            self.unjudged += 1
            if not isinstance(event, e.ConsentAsked | e.Sealed):  # those two count whatever came before
                return
        self.state = evolve(self.state, event)

    def _meaning(self, event: e.SessionEvent, text: bytes | None, seed: bytes | None) -> None:
        match event:
            case e.OutputReceived():  # first: most events of a long session are output
                if event.command is not None:
                    self.receipts.output(event.command, event.output.size, text)
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
                self.receipts.command(event, text, seed)
            case e.TerminalTyped():
                self._works(event.at)
            case e.TransferAccepted():
                self._works(event.at)
                self.receipts.transfer(event, text, seed)
            case e.NotRun(lost=False, subject=UUID() as subject):
                self.receipts.none_due(subject)
            case e.TransferFailed() | e.TransferCancelled():
                self.receipts.none_due(event.transfer)
            case e.CommandFinished():
                self.receipts.finished(event)
            case e.TransferFinished():
                self.receipts.transferred(event)
            case e.Sealed():
                if event.events != self._position:
                    raise self._broken(f"the seal counts {event.events} events, {self._position} came before it")

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
        if (reason := digest(seed, text)) is not None and reason != request.reason:
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
        if self.receipts.missing:
            why = "withheld or without" if self.gaps else "without"
            parts.append(f"{len(self.receipts.missing)} of {self.receipts.acts} commands and files {why} the device's receipt")
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
        receipts = self.receipts
        if receipts.acts:
            undone = f"; {receipts.undone} came to nothing" if receipts.undone else ""
            without = "withheld or without a receipt" if self.gaps else "without a receipt"
            missing = f"; {len(receipts.missing)} {without}" if receipts.missing else ""
            kind = "chained and signed" if signed else "unchecked"
            lines.append(
                f"{receipts.count} receipts of the device, {kind}, for {receipts.acts} commands and files{undone}{missing}."
            )
        if self.erased is not None:
            why = f"{self.erased.actor.name}, {time_of(self.erased.at)}: {self.erased.reason}"
            lines.append(
                f"Its texts were erased ({why}). What they were can be shown by nobody; that they were there, by this record."
            )
        lines.append("The record is sealed: nothing can follow." if self.state.sealed else "The record is still open.")
        return tuple(lines)
