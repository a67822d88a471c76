"""The state machine of a session: what may happen next, and what the state is after it happened.

`decide` judges an event that somebody proposes: it may happen, it changes nothing, or it is refused in words. The caller makes
what may happen durable before acting on it.
`evolve` folds one event into the state; an event is written, so there is nothing left to refuse. No clock, no I/O.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import reduce
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from caisey_agent.protocol.consent import Scope
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused


class State(StrEnum):
    """Where a session stands; the words are those of the pages."""

    REQUESTED = "requested"  # the device has not shown the prompt yet
    PENDING = "pending consent"
    ACTIVE = "active"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REVOKED = "revoked"


ENDED: Final = frozenset({State.COMPLETED, State.DENIED, State.EXPIRED, State.CANCELLED, State.REVOKED})


class Ask(Struct, frozen=True, kw_only=True):
    """A prompt that waits for its answer."""

    request: bytes
    asked_at: int
    expires_at: int
    shown_at: int | None = None
    again_at: int | None = None


class Consent(Struct, frozen=True, kw_only=True):
    """What the person at the device agreed to."""

    request: bytes
    at: int
    until: int
    scopes: tuple[str, ...]
    who: str
    how: str


class Session(Struct, frozen=True, kw_only=True):
    """A session as its events make it. `started` is None until SessionRequested."""

    started: e.SessionRequested | None = None
    state: State = State.REQUESTED
    technician: UUID | None = None
    technician_name: str = ""
    ask: Ask | None = None
    consent: Consent | None = None
    consent_over: bool = False
    connected: bool = True  # the device's link, as far as the record knows
    running: tuple[UUID, ...] = ()  # accepted commands without an end, oldest first
    begun: frozenset[UUID] = frozenset()  # those that the device began
    transfers: tuple[UUID, ...] = ()
    frame: int = 0  # highest number of the device's frames
    events: int = 0
    mono: int = 0
    last_at: int = 0
    ended_at: int | None = None
    resolution: e.Resolution | None = None
    sealed: bool = False

    @property
    def ended(self) -> bool:
        """Say whether the outcome stands; late output of the device may still follow until the seal."""
        return self.state in ENDED

    def covers(self, scope: Scope, now: int) -> bool:
        """Say whether the person's consent covers this kind of act at this time (server's clock, UTC microseconds)."""
        consent = self.consent
        return consent is not None and not self.consent_over and now < consent.until and scope in consent.scopes


_OVER: Final = Refused("This session is over.", "Ask for a new session on the device.")
_SEALED: Final = Refused("This session is over.", "Its record is sealed: nothing can be added to it.")


def _uncovered(session: Session, scope: Scope, now: int) -> Refused | None:
    """Refuse work that cannot be done now, most telling reason first."""
    if session.ended:
        return _OVER
    consent = session.consent
    if consent is None:
        return Refused("Nobody at the device has agreed yet.", "Wait for the answer, or nudge the person at the device.")
    if session.consent_over or now >= consent.until:
        return Refused("The agreed time is over.", "Ask the person at the device for more time.")
    if scope not in consent.scopes:
        return Refused(f"The person at the device did not agree to “{WORDS[scope]}”.", "Ask for it in this session.", 403)
    if not session.connected:
        return Refused("The device is not connected now.", "Wait until it is back; the session goes on by itself.")
    return None


WORDS: Final[dict[Scope, str]] = {
    Scope.LOOK: "look at facts",
    Scope.RUN: "run commands",
    Scope.FILES: "transfer files",
    Scope.AI: "let an AI agent act",
    Scope.ADMIN: "act as administrator",
}


def decide(session: Session, proposed: e.SessionEvent) -> tuple[e.SessionEvent, ...] | Refused:
    """Say what follows if this event is proposed at its own time: it and nothing else, nothing at all, or a refusal.

    Nothing follows from what came before already (a repeated frame) or is no longer so (a clock that fires late).
    """
    if session.sealed:
        return _SEALED
    if isinstance(proposed, e.FromDevice):
        return _told(session, proposed)
    refused: Refused | None = None
    match proposed:
        case e.SessionRequested():
            if session.started is not None:
                refused = Refused("This session was asked for already.", "Open it.")
        case e.ConsentAsked():
            if session.ended:
                refused = _OVER
            elif session.ask is not None:
                refused = Refused("The person at the device is being asked already.", "Wait for the answer, or nudge.")
        case e.Nudged():
            if session.ended or session.ask is None:
                refused = Refused("Nobody is being asked now.", "Reload the page to see how the session stands.")
        case e.RequestCancelled():
            if session.ended or session.consent is not None:
                refused = Refused("This request was answered already.", "Finish the session instead.")
        case e.RequestExpired():
            if session.ended or session.ask is None or proposed.at < session.ask.expires_at:
                return ()
        case e.ConsentEnded():
            if session.ended or session.consent is None or session.consent_over or proposed.at < session.consent.until:
                return ()
        case e.CommandAccepted() | e.TerminalTyped() | e.TerminalResized():
            refused = _uncovered(session, Scope.RUN, proposed.at)
        case e.TransferAccepted():
            refused = _uncovered(session, Scope.FILES, proposed.at)
        case e.CommandInterrupted():
            if session.ended or (proposed.command is not None and proposed.command not in session.running):
                refused = Refused("This command has ended already.", "Nothing needs to be stopped.")
        case e.TransferCancelled():
            if proposed.transfer not in session.transfers:
                refused = Refused("This transfer has ended already.", "Nothing needs to be stopped.")
        case e.Reassigned():
            if session.ended:
                refused = _OVER
            elif proposed.to_technician == session.technician:
                refused = Refused(f"{proposed.to_name} has this session already.", "Choose another technician.")
        case e.SessionInterrupted():
            if session.ended or not session.connected:
                return ()
        case e.SessionResumed():
            if session.ended or session.connected:
                return ()
        case e.SessionCompleted():
            if session.ended:
                refused = _OVER
            elif session.consent is None:
                refused = Refused("Nobody at the device has agreed yet.", "Cancel the request instead.")
        case e.Sealed():
            if not session.ended:
                refused = Refused("The session is not over.", "Finish it first.")
    return refused or (proposed,)


def _told(session: Session, told: e.FromDevice) -> tuple[e.SessionEvent, ...] | Refused:
    """Take what the device tells: it happened there, so it is recorded; only repetitions and late answers are dropped."""
    if told.frame <= session.frame:
        return ()
    match told:
        case e.OutputReceived():  # first, here and below: most events of a long session are output
            return (told,)
        case e.ConsentGranted() | e.ConsentDenied() | e.ConsentPostponed():
            if session.ended or session.ask is None:
                return Refused("Nobody was being asked.", "The answer came too late; ask again.")
            return (told,)
        case e.PromptShown():
            return () if session.ended or session.ask is None else (told,)
        case e.ConsentWithdrawn():
            return () if session.ended else (told,)
        case e.NotRun(subject=UUID() as subject) if subject not in (*session.running, *session.transfers):
            return ()  # its end is told already: the device was asked twice and does not remember
        case (
            e.ShellStarted()
            | e.ShellEnded()
            | e.CommandStarted()
            | e.OutputCut()
            | e.CommandFinished()
            | e.NotRun()
            | e.TransferFinished()
            | e.TransferFailed()
        ):
            return (told,)
    raise AssertionError(told)


def evolve(session: Session, event: e.SessionEvent) -> Session:
    """Fold one event into the state."""
    frame, mono = session.frame, session.mono
    if isinstance(event, e.FromDevice) and event.frame > frame:
        frame = event.frame
    if event.mono > mono:
        mono = event.mono
    session = replace(session, events=session.events + 1, frame=frame, mono=mono, last_at=event.at)
    match event:
        case (
            e.OutputReceived()
            | e.OutputCut()
            | e.TerminalTyped()
            | e.TerminalResized()
            | e.Nudged()
            | e.ShellStarted()
            | e.ShellEnded()
            | e.CommandInterrupted()
        ):
            return session
        case e.SessionRequested():
            return replace(session, started=event, technician=event.technician, technician_name=event.technician_name)
        case e.ConsentAsked():
            return replace(session, ask=Ask(request=event.request, asked_at=event.at, expires_at=event.expires_at))
        case e.PromptShown():
            if session.ask is None:
                return session
            state = State.PENDING if session.state is State.REQUESTED else session.state
            return replace(session, state=state, ask=replace(session.ask, shown_at=event.at))
        case e.ConsentGranted():
            assert session.ask is not None
            consent = Consent(
                request=session.ask.request, at=event.at, until=event.until, scopes=event.scopes, who=event.who, how=event.how
            )
            return _settled(replace(session, ask=None, consent=consent, consent_over=False, connected=True))
        case e.ConsentDenied():
            return _no(session, State.DENIED, event.at)
        case e.ConsentPostponed():
            assert session.ask is not None
            return replace(session, ask=replace(session.ask, again_at=event.again_at, expires_at=event.expires_at))
        case e.RequestExpired():
            return _no(session, State.EXPIRED, event.at)
        case e.RequestCancelled():
            return _no(session, State.CANCELLED, event.at)
        case e.ConsentWithdrawn():
            return _end(session, State.REVOKED, event.at)
        case e.ConsentEnded():
            return _settled(replace(session, consent_over=True))
        case e.CommandAccepted():
            return replace(session, running=(*session.running, event.command))
        case e.CommandStarted():
            return replace(session, begun=session.begun | {event.command})
        case e.CommandFinished():
            return _ended_command(session, event.command)
        case e.NotRun():
            session = replace(session, transfers=tuple(t for t in session.transfers if t != event.subject))
            return session if event.subject is None else _ended_command(session, event.subject)
        case e.TransferAccepted():
            return replace(session, transfers=(*session.transfers, event.transfer))
        case e.TransferFinished() | e.TransferFailed() | e.TransferCancelled():
            return replace(session, transfers=tuple(t for t in session.transfers if t != event.transfer))
        case e.Reassigned():
            return replace(session, technician=event.to_technician, technician_name=event.to_name)
        case e.SessionInterrupted():
            return _settled(replace(session, connected=False))
        case e.SessionResumed():
            return _settled(replace(session, connected=True))
        case e.SessionCompleted():
            return replace(_end(session, State.COMPLETED, event.at), resolution=event.resolution)
        case e.Sealed():
            return replace(session, sealed=True)


def fold(events: Iterable[e.SessionEvent]) -> Session:
    """Return the session that these events make."""
    return reduce(evolve, events, Session())


def _settled(session: Session) -> Session:
    """Choose between active and interrupted once somebody agreed and the outcome is open."""
    if session.ended or session.consent is None:
        return session
    ready = session.connected and not session.consent_over
    return replace(session, state=State.ACTIVE if ready else State.INTERRUPTED)


def _no(session: Session, state: State, at: int) -> Session:
    """A no to the first prompt ends the session; a no to a later one leaves what was agreed before."""
    if session.consent is None:
        return _end(session, state, at)
    return replace(session, ask=None)


def _end(session: Session, state: State, at: int) -> Session:
    return replace(session, state=state, ended_at=at, ask=None)


def _ended_command(session: Session, command: UUID) -> Session:
    return replace(session, running=tuple(c for c in session.running if c != command), begun=session.begun - {command})
