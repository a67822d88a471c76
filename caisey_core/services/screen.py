"""What browsers that watch a session are told: output as it comes, states once they are in the record."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.domain import events as e
from caisey_core.live.news import News
from caisey_core.services.cards import card_of
from caisey_core.services.house import House
from caisey_core.services.journal import OpenSession
from caisey_core.services.views import CommandCard, SessionCard, TransferCard


class Hello(Struct, frozen=True, kw_only=True, tag="hello", tag_field="type"):
    """First message of a socket."""

    card: SessionCard
    mine: bool
    why_not: str
    position: int


class Status(Struct, frozen=True, kw_only=True, tag="status", tag_field="type"):
    card: SessionCard


class Command(Struct, frozen=True, kw_only=True, tag="command", tag_field="type"):
    card: CommandCard


class Transfer(Struct, frozen=True, kw_only=True, tag="transfer", tag_field="type"):
    card: TransferCard


class Person(Struct, frozen=True, kw_only=True, tag="person", tag_field="type"):
    text: str
    at: int


class Declined(Struct, frozen=True, kw_only=True, tag="refused", tag_field="type"):
    ref: str
    reason: str
    what_to_do: str


class Resync(Struct, frozen=True, kw_only=True, tag="resync", tag_field="type"):
    """Too much was missed: load again."""


Message = Hello | Status | Command | Transfer | Person | Declined | Resync
_encoder = msgspec.json.Encoder()


def text_of(message: Message) -> str:
    """Return a message as it goes to a browser."""
    return _encoder.encode(message).decode()


def output_bytes(position: int, command: UUID | None, data: bytes) -> bytes:
    """Return output as it goes to a browser: position (4 bytes, big-endian), flag (1: a command's), command id, bytes."""
    flag = b"\x00" if command is None else b"\x01"
    identity = bytes(16) if command is None else command.bytes
    return position.to_bytes(4, "big") + flag + identity + data


def output(house: House, session: UUID, position: int, command: UUID | None, data: bytes) -> None:
    """Show output at once; it is durable within the writer's linger."""
    if house.live.watchers.any(session):
        house.live.watchers.send(session, output_bytes(position, command, data))


def heard(house: House, session: OpenSession, event: e.SessionEvent, position: int, said: tuple[bytes, ...]) -> None:
    """Tell watchers and lists what is now in the record."""
    watchers = house.live.watchers
    reason = said[0].decode(errors="replace") if said else ""
    match event:
        case e.CommandAccepted():
            if (card := session.running.get(event.command)) is not None:
                _send(house, session, Command(card=replace(card, position=position)))
        case e.CommandStarted():
            if (card := session.running.get(event.command)) is not None:
                session.running[event.command] = replace(card, state="running")
                _send(house, session, Command(card=session.running[event.command]))
        case e.CommandFinished():
            if (card := session.running.pop(event.command, None)) is not None:
                done = replace(card, state="finished", exit_code=event.exit_code, duration_ns=event.duration_ns, receipt=True)
                _send(house, session, Command(card=done))
        case e.NotRun():
            if event.subject is not None and (card := session.running.pop(event.subject, None)) is not None:
                state: Literal["lost", "not run"] = "lost" if event.lost else "not run"
                _send(house, session, Command(card=replace(card, state=state, reason=reason)))
            else:
                _send(house, session, Person(text=reason, at=event.at))
        case e.ShellEnded():
            _send(house, session, Person(text=f"The shell ended: {reason}. Variables and directory are gone.", at=event.at))
        case e.TerminalResized() | e.OutputCut() | e.ShellStarted():
            return
    if watchers.any(session.id):
        _send(house, session, Status(card=card_of(house, session)))
    house.projector.changed(session)
    if not isinstance(event, e.CommandStarted):
        house.live.news.tell(session.tenant, News("session", session.id))
    if not isinstance(event, e.CommandAccepted | e.CommandStarted | e.CommandFinished | e.CommandInterrupted):
        device = house.live.roster.get(session.tenant, session.device)
        if device is not None and session.state.ended and device.session == session.id:
            device.session = None
        house.live.news.tell(session.tenant, News("device", session.device))
        if device is not None and device.assignment is not None:
            house.live.news.tell(session.tenant, News("assignment", device.assignment.id))


def _send(house: House, session: OpenSession, message: Message) -> None:
    if house.live.watchers.any(session.id):
        house.live.watchers.send(session.id, text_of(message))


def announce(house: House, session: OpenSession, text: str) -> None:
    """Tell everyone who watches something that is no event."""
    _send(house, session, Person(text=text, at=house.clock.now()))


def refresh(house: House, session: OpenSession) -> None:
    """Tell watchers how the session stands, when no event says it: a device's link came or went."""
    _send(house, session, Status(card=card_of(house, session)))
    house.live.news.tell(session.tenant, News("session", session.id))
