"""Open sessions, and the one way by which anything gets into a record: judged, written, folded, then told.

Everything runs on the event loop; between judging an event and giving it to the record's writer nothing is awaited, so the
state that judged it is the state that it changes. What is shown or done because of an event waits for `Ticket.durable`.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from caisey_core.clock import Clock
from caisey_core.domain import events as e
from caisey_core.domain.events import AnyEvent, Content, SessionEvent
from caisey_core.domain.refused import Refused
from caisey_core.domain.session import Session, decide, evolve
from caisey_core.record.commitment import SALT, Disclosure, commit
from caisey_core.record.store import RecordUnavailable
from caisey_core.record.writer import Entry, Record, Ticket
from caisey_core.services.house import log
from caisey_core.services.views import CommandCard

HELD = Refused(
    "The record cannot be written now, so nothing may happen.",
    "Running sessions are held; the operator was told. It goes on by itself.",
    503,
    retry_after_seconds=5,
)
AUDIT = "audit"
STAMPED = 0  # an event's time before the journal judges it


class Words(Struct, frozen=True):
    """Texts on their way into one event: their contents, in order, and the disclosure that lies beside the event."""

    contents: tuple[Content, ...]
    disclosure: Disclosure | None

    @property
    def seed(self) -> bytes:
        """The seed of the salts: the device's receipt takes it into its hashes."""
        return self.disclosure.seed if self.disclosure is not None else b""


def words(*texts: str | bytes) -> Words:
    """Commit to the texts of one event, in the order of its fields. An empty text is NOTHING and is not disclosed."""
    given = [text.encode() if isinstance(text, str) else text for text in texts]
    said = [text for text in given if text]
    if not said:
        return Words(tuple(e.NOTHING for _ in given), None)
    committed, disclosure = commit(said)
    found = iter(committed)
    made = []
    for text in given:
        if text:
            one = next(found)
            made.append(Content(one.root, one.lines, one.size))
        else:
            made.append(e.NOTHING)
    return Words(tuple(made), disclosure)


@dataclass
class OpenSession:
    """A session whose record is not sealed: its state, and what pages ask for all the time."""

    tenant: UUID
    id: UUID
    state: Session = field(default_factory=Session)
    reason: str = ""
    commands: int = 0
    running: dict[UUID, CommandCard] = field(default_factory=dict)
    hidden_typing: bool = False  # the terminal does not echo: a password is asked for
    closed_by_device: bool = False
    mono_base: int = 0

    @property
    def stream(self) -> str:
        """Name of its stream in the record."""
        return stream_of(self.id)

    @property
    def started(self) -> e.SessionRequested:
        """The event that began it."""
        assert self.state.started is not None
        return self.state.started

    @property
    def device(self) -> UUID:
        """The device that it belongs to."""
        return self.started.device


def stream_of(session: UUID) -> str:
    """Return the name of a session's stream."""
    return f"session/{session}"


async def durable(ticket: Ticket | Refused | None) -> Refused | None:
    """Wait until it is written; a failing store becomes a refusal."""
    if isinstance(ticket, Refused):
        return ticket
    if ticket is not None:
        try:
            await ticket.durable
        except RecordUnavailable:
            return HELD
    return None


Heard = Callable[[OpenSession, SessionEvent, int, tuple[bytes, ...]], None]


class Journal:
    """All open sessions of this node, and the audit logs."""

    def __init__(self, record: Record, clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self.open: dict[UUID, OpenSession] = {}
        self._audit_base: dict[UUID, int] = {}
        self.holds = 0  # how often the record could not be written
        self._stale = False  # what is in memory may not be what is in the record
        self.proposed: list[Callable[[OpenSession], None]] = []  # called for each event that is on its way into the record
        self.heard: list[Heard] = []  # called for each durable session event, with its position and its texts
        self.audited: list[Callable[[UUID, AnyEvent], None]] = []

    @property
    def held(self) -> bool:
        """Say whether nothing may happen now: the record cannot be written, or is still being read anew afterwards."""
        return self._record.held or self._stale

    def hold(self) -> None:
        """The record failed: states in memory may be ahead of it until they are read again."""
        self.holds += 1
        self._stale = True

    def go_on(self, hold: int) -> None:
        """All open sessions were read again since that hold."""
        if hold == self.holds:
            self._stale = False

    # --- sessions ----------------------------------------------------------------------------------------------------

    def of_device(self, device: UUID) -> list[OpenSession]:
        """Return the unsealed sessions of a device, oldest first."""
        return [session for session in self.open.values() if session.device == device]

    def begin(self, tenant: UUID, session: UUID, reason: str) -> OpenSession:
        """Make room for a session that is about to be requested."""
        opened = OpenSession(tenant=tenant, id=session, reason=reason, mono_base=self._clock.mono())
        self.open[session] = opened
        return opened

    def propose(
        self, session: OpenSession, proposed: SessionEvent, disclosure: Disclosure | None = None, *, urgent: bool = True
    ) -> Ticket | Refused | None:
        """Judge an event now; if it may happen, hand it to the record. None: nothing follows from it.

        An event without a time (STAMPED) gets the present one.
        """
        if self.held:
            return HELD
        proposed = replace(proposed, at=proposed.at or self._clock.now(), mono=self._clock.mono() - session.mono_base)
        if isinstance(proposed, e.Salted):
            proposed = replace(proposed, salt=secrets.token_bytes(SALT))
        outcome = decide(session.state, proposed)
        if isinstance(outcome, Refused):
            return outcome
        if not outcome:
            return None
        (event,) = outcome
        try:
            ticket = self._record.append(
                session.tenant,
                session.stream,
                [Entry(e.encode(event), disclosure)],
                urgent=urgent,
                seal=isinstance(event, e.Sealed),
            )
        except RecordUnavailable:
            return HELD
        session.state = evolve(session.state, event)
        for proposed_to in self.proposed:
            proposed_to(session)
        if not isinstance(event, e.OutputReceived | e.TerminalTyped):
            said = disclosure.texts if disclosure is not None else ()
            ticket.durable.add_done_callback(lambda done: self._written(session, event, ticket.first, said, done))
        return ticket

    def _written(
        self, session: OpenSession, event: SessionEvent, position: int, said: tuple[bytes, ...], done: asyncio.Future[int]
    ) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        for heard in self.heard:
            heard(session, event, position, said)

    async def load(self, tenant: UUID, session: UUID) -> OpenSession:
        """Read an unsealed session from the record: at start, and after the record was held."""
        opened = self.open.get(session) or OpenSession(tenant=tenant, id=session)
        opened.state, opened.running, opened.commands = Session(), {}, 0
        size = await self._record.open_stream(tenant, opened.stream)
        position = 0
        while position < size:
            rows = await self._record.read(tenant, opened.stream, position, 1000)
            for row in rows:
                event = e.decode(row.event)
                if isinstance(event, e.Unknown):
                    continue
                self.remember(opened, event, row.position, row.disclosure)  # type: ignore[arg-type]
                opened.state = evolve(opened.state, event)  # type: ignore[arg-type]
            position += len(rows)
        opened.mono_base = self._clock.mono() - opened.state.mono - max(0, (self._clock.now() - opened.state.last_at) * 1000)
        self.open[session] = opened
        return opened

    @staticmethod
    def remember(session: OpenSession, event: SessionEvent, position: int, disclosure: Disclosure | None) -> None:
        """Keep what pages of an open session ask for all the time."""
        texts = [text.decode(errors="replace") for text in disclosure.texts] if disclosure is not None else []
        match event:
            case e.SessionRequested():
                session.reason = texts[0] if texts else ""
            case e.CommandAccepted():
                session.commands += 1
                session.running[event.command] = CommandCard(
                    id=event.command,
                    position=position,
                    line=texts[0] if texts else "",
                    by=event.actor.name,
                    at=event.at,
                    state="accepted",
                )
            case e.CommandStarted():
                if (card := session.running.get(event.command)) is not None:
                    session.running[event.command] = replace(card, state="running")
            case e.CommandFinished():
                session.running.pop(event.command, None)
            case e.NotRun():
                if event.subject is not None:
                    session.running.pop(event.subject, None)

    def close(self, session: OpenSession) -> None:
        """Forget a sealed session."""
        self.open.pop(session.id, None)

    # --- the audit log -----------------------------------------------------------------------------------------------

    async def open_audit(self, tenant: UUID) -> None:
        """Prepare to append to a tenant's audit log that exists."""
        size = await self._record.size(tenant, AUDIT)
        now, mono = self._clock.now(), self._clock.mono()
        base = mono
        if size:
            first = e.decode((await self._record.read(tenant, AUDIT, 0, 1))[0].event)
            base = mono - max(0, now - first.at) * 1000
        self._audit_base[tenant] = base

    async def audit(self, tenant: UUID, *events: AnyEvent, disclosures: Sequence[Disclosure | None] = ()) -> Refused | None:
        """Append to the tenant's audit log and wait until it is durable; a refusal says that it could not be."""
        if self.held:
            return HELD
        base = self._audit_base.setdefault(tenant, self._clock.mono())
        now, mono = self._clock.now(), self._clock.mono() - base
        stamped = [replace(event, at=now, mono=mono) for event in events]
        given = [*disclosures, *(None for _ in events[len(disclosures) :])]
        try:
            await self._record.append_shared(
                tenant, AUDIT, [Entry(e.encode(event), said) for event, said in zip(stamped, given, strict=True)]
            )
        except RecordUnavailable:
            log.error("the audit log could not be written", tenant=str(tenant))
            return HELD
        for event in stamped:
            for audited in self.audited:
                audited(tenant, event)
        return None
