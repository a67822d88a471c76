"""Files to and from a device: hashed, limited, recorded before they move, never more than a window ahead of the device."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from msgspec.structs import replace

from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.events import SERVER
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.services import screen
from caisey_core.services.commands import working
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, OpenSession, Words, durable, words
from caisey_core.services.outcomes import NOT_FOUND, bad_input, open_session_of
from caisey_core.services.views import TransferCard

WINDOW: Final = 1 << 20  # bytes that may be under way to a device
LONGEST_PATH: Final = 4096  # characters
SHOWN_EVERY: Final = 256 * 1024  # bytes between two messages of progress


@dataclass
class Moving:
    """A transfer under way."""

    session: OpenSession
    card: TransferCard
    file: Path
    wake: asyncio.Event
    shown: int = 0
    over: bool = False


class Transfers:
    """Transfers of this node. Contents lie in the data folder until the session is sealed, then they are destroyed.

    They outlive the server: `left_over` and `take_up` bring back at a start what the record says was complete.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._folder = house.folder / "transfers"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.left_over = {path.name for path in self._folder.iterdir()}  # of the last life, until somebody takes it up
        self.moving: dict[UUID, Moving] = {}
        self._finished: dict[UUID, Moving] = {}

    def begin(self, session: OpenSession, card: TransferCard) -> Moving:
        """Keep a transfer that the record has accepted."""
        moving = Moving(session=session, card=card, file=self._folder / str(card.id), wake=asyncio.Event())
        self.moving[card.id] = moving
        self._show(moving)
        return moving

    def take_up(self, session: OpenSession, card: TransferCard) -> None:
        """Keep a download that was complete before this start, if what lies here is what the device signed for."""
        file = self.path_of(card.id)
        with file.open("rb") as content:
            right = hashlib.file_digest(content, "sha256").hexdigest() == card.content
        if right:
            self.left_over.discard(file.name)
            self._finished[card.id] = Moving(session=session, card=card, file=file, wake=asyncio.Event(), over=True)

    def drop_left_over(self) -> None:
        """Destroy what nobody took up: the record says that it was cancelled, or that its session is over."""
        for name in self.left_over:
            (self._folder / name).unlink(missing_ok=True)
        self.left_over.clear()

    def path_of(self, transfer: UUID) -> Path:
        """Return where a transfer's content lies."""
        return self._folder / str(transfer)

    def _of(self, session: UUID, transfer: UUID) -> Moving | None:
        """Return a session's transfer: ids of others, which a device may name, are nobody's here."""
        moving = self.moving.get(transfer)
        return moving if moving is not None and moving.session.id == session else None

    def progress(self, session: UUID, transfer: UUID, size: int) -> None:
        """The device wrote this much of an upload."""
        if (moving := self._of(session, transfer)) is not None:
            moving.card = replace(moving.card, done=size)
            moving.wake.set()
            self._show(moving, seldom=True)

    def chunk(self, frame: f.FileChunk) -> None:
        """The device sent a piece of a download; what does not fit its announcement is dropped, the hash will tell."""
        moving = self._of(frame.session, frame.transfer)
        if moving is None or frame.offset != moving.card.done:
            return
        if frame.offset + len(frame.data) > self._house.config.largest_file_bytes:
            self.failed(frame.session, frame.transfer, "The file is larger than the limit.")
            return
        try:
            with moving.file.open("ab") as file:
                file.write(frame.data)
        except OSError as error:
            self.failed(frame.session, frame.transfer, f"The server could not keep the file: {error.strerror}.")
            return
        moving.card = replace(moving.card, done=frame.offset + len(frame.data))
        self._show(moving, seldom=True)

    def finished(self, session: UUID, transfer: UUID, content: bytes) -> None:
        """The device signed a receipt: all bytes are there, on either side."""
        if (moving := self._of(session, transfer)) is None:
            return
        if moving.card.direction == "download":
            arrived = hashlib.sha256(moving.file.read_bytes() if moving.file.exists() else b"").digest()
            if arrived != content:
                self.failed(session, transfer, "What arrived is not what the device signed for.")
                return
            size = moving.file.stat().st_size if moving.file.exists() else 0
            moving.file.touch()
            moving.card = replace(moving.card, size=size, content=content.hex())
        del self.moving[transfer]
        moving.card = replace(moving.card, state="finished", done=moving.card.size)
        self._end(moving, keep=moving.card.direction == "download")

    def failed(self, session: UUID, transfer: UUID, reason: str, state: str = "failed") -> None:
        """A transfer ended without success."""
        if (moving := self._of(session, transfer)) is not None:
            del self.moving[transfer]
            moving.card = replace(moving.card, state="cancelled" if state == "cancelled" else "failed", reason=reason)
            self._end(moving, keep=False)

    def end_of(self, session: UUID) -> None:
        """Stop what moves in a session, and destroy what lies here of it once it is sealed."""
        for transfer, moving in list(self.moving.items()):
            if moving.session.id == session:
                self.failed(session, transfer, "The session ended.", "cancelled")
        for transfer, moving in list(self._finished.items()):
            if moving.session.id == session:
                moving.file.unlink(missing_ok=True)
                del self._finished[transfer]

    def content(self, session: UUID, transfer: UUID) -> tuple[TransferCard, Path] | None:
        """Return a finished download of this session."""
        moving = self._finished.get(transfer)
        return None if moving is None or moving.session.id != session else (moving.card, moving.file)

    def _end(self, moving: Moving, *, keep: bool) -> None:
        moving.over = True
        moving.wake.set()
        if keep:
            self._finished[moving.card.id] = moving
        else:
            moving.file.unlink(missing_ok=True)
        self._show(moving)

    def _show(self, moving: Moving, *, seldom: bool = False) -> None:
        if seldom and moving.card.done - moving.shown < SHOWN_EVERY:
            return
        moving.shown = moving.card.done
        self._house.live.watchers.send(moving.session.id, screen.text_of(screen.Transfer(card=moving.card)))


def _path(path: str) -> str | Refused:
    if not path or len(path) > LONGEST_PATH or "\0" in path:
        return bad_input("path", "This is no path of a file.", f"Give a path of 1 to {LONGEST_PATH} characters.")
    return path


async def upload(
    house: House, member: Member, session: UUID, path: str, body: AsyncIterator[bytes], *, replace_existing: bool
) -> TransferCard | Refused:
    """Take a file from the browser, then write it to the device. Returns when it is in the record; progress is shown live."""
    opened = await working(house, member, session)
    if isinstance(opened, Refused):
        return opened
    checked = _path(path)
    if isinstance(checked, Refused):
        return checked
    transfer = uuid4()
    file = house.transfers.path_of(transfer)
    sha256, size = hashlib.sha256(), 0
    try:
        with file.open("wb") as out:
            async for piece in body:
                size += len(piece)
                if size > house.config.largest_file_bytes:
                    file.unlink(missing_ok=True)
                    limit = house.config.largest_file_bytes >> 20
                    return Refused(f"The file is larger than {limit} MiB.", "Send a smaller one, or compress it.", 413)
                sha256.update(piece)
                out.write(piece)
    except OSError as error:
        file.unlink(missing_ok=True)
        return Refused(f"The server could not keep the file: {error.strerror}.", "Tell the operator; try again later.", 503)
    except BaseException:
        file.unlink(missing_ok=True)  # the browser went away
        raise
    card = TransferCard(
        id=transfer,
        position=0,
        direction="upload",
        path=path,
        by=member.name,
        at=house.clock.now(),
        size=size,
        content=sha256.hexdigest(),
        state="running",
    )
    said = words(path)
    moving = await _accept(house, member, opened, card, said, replace_existing=replace_existing)
    if isinstance(moving, Refused):
        file.unlink(missing_ok=True)
        return moving
    link = house.live.links.of(opened.device)
    link.send(
        f.PutFile(
            session=session,
            transfer=transfer,
            path=path,
            size=size,
            content=sha256.digest(),
            replace=replace_existing,
            seed=said.seed,
        )
    )
    house.spawn(_feed(house, moving), "upload")
    return moving.card


async def _feed(house: House, moving: Moving) -> None:
    link = house.live.links.of(moving.session.device)
    sent = 0
    with moving.file.open("rb") as file, contextlib.suppress(FileNotFoundError):
        while not moving.over and (piece := file.read(f.CHUNK)):
            while sent - moving.card.done >= WINDOW and not moving.over:
                moving.wake.clear()
                await moving.wake.wait()
            link.send(f.FileChunk(session=moving.session.id, transfer=moving.card.id, offset=sent, data=piece))
            sent += len(piece)
            await asyncio.sleep(0)  # other people's work goes between two pieces


async def _accept(
    house: House, member: Member, opened: OpenSession, card: TransferCard, said: Words, *, replace_existing: bool
) -> Moving | Refused:
    ticket = house.journal.propose(
        opened,
        e.TransferAccepted(
            actor=member.actor,
            at=STAMPED,
            transfer=card.id,
            direction=card.direction,
            path=said.contents[0],
            size=card.size,
            content=bytes.fromhex(card.content),
            replace=replace_existing,
        ),
        said.disclosure,
    )
    if (refused := await durable(ticket)) is not None:
        return refused
    assert ticket is not None
    assert not isinstance(ticket, Refused)
    return house.transfers.begin(opened, replace(card, position=ticket.first))


async def download(house: House, member: Member, session: UUID, path: str) -> TransferCard | Refused:
    """Ask the device for a file. Returns when the request is in the record; the content can be fetched once it is finished."""
    opened = await working(house, member, session)
    if isinstance(opened, Refused):
        return opened
    checked = _path(path)
    if isinstance(checked, Refused):
        return checked
    card = TransferCard(
        id=uuid4(),
        position=0,
        direction="download",
        path=path,
        by=member.name,
        at=house.clock.now(),
        size=0,
        content="",
        state="running",
    )
    said = words(path)
    moving = await _accept(house, member, opened, card, said, replace_existing=False)
    if isinstance(moving, Refused):
        return moving
    house.live.links.of(opened.device).send(
        f.GetFile(session=session, transfer=card.id, path=path, largest=house.config.largest_file_bytes, seed=said.seed)
    )
    return moving.card


async def cancel(house: House, member: Member, session: UUID, transfer: UUID) -> Refused | None:
    """Stop a transfer; the device removes what it has of it."""
    opened = await working(house, member, session)
    if isinstance(opened, Refused):
        return opened
    ticket = house.journal.propose(
        opened,
        e.TransferCancelled(actor=member.actor, at=STAMPED, transfer=transfer, reason=f"Stopped by {member.name}."),
    )
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.CancelTransfer(session=session, transfer=transfer))
    house.transfers.failed(session, transfer, f"Stopped by {member.name}.", "cancelled")
    return None


async def cancel_left_over(house: House, opened: OpenSession) -> None:
    """After a restart of the server: what was moving cannot go on, and the record says so."""
    for transfer in opened.state.transfers:
        event = e.TransferCancelled(actor=SERVER, at=STAMPED, transfer=transfer, reason="The server was restarted.")
        await durable(house.journal.propose(opened, event))
        house.live.links.of(opened.device).send(f.CancelTransfer(session=opened.id, transfer=transfer))


async def content(house: House, member: Member, session: UUID, transfer: UUID) -> tuple[TransferCard, Path] | Refused:
    """Return a finished download for its session's workers."""
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    refused = await working(house, member, session)
    if isinstance(refused, Refused):
        return refused
    return house.transfers.content(session, transfer) or NOT_FOUND
