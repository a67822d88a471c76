"""A browser's live view of a session: output and states to it, keys and commands from it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.outgoing import sender
from caisey_core.http.problems import RefusedError
from caisey_core.http.who import RECHECK_SECONDS, member_of_api, member_of_page, same_origin, still
from caisey_core.live.outbox import Close
from caisey_core.live.watchers import Watcher
from caisey_core.services import commands, review, screen
from caisey_core.services.house import House
from caisey_core.services.outcomes import NOT_FOUND

HISTORY = 256 * 1024  # bytes of output shown again to a browser that comes new
LAST_POSITION = (1 << 32) - 1  # output is sent with its position in four bytes
CLOSE_NOT_YOURS = 4404
CLOSE_BAD_MESSAGE = 4400
CLOSE_RESYNC = 4410


class Type(Struct, frozen=True, tag="type", tag_field="type", forbid_unknown_fields=True):
    """Keys for the terminal."""

    data: str


class Resize(Struct, frozen=True, tag="resize", tag_field="type", forbid_unknown_fields=True):
    columns: int
    rows: int


class Run(Struct, frozen=True, tag="run", tag_field="type", forbid_unknown_fields=True):
    """A command of the command box; `ref` comes back if it is refused."""

    line: str
    ref: str = ""


class Interrupt(Struct, frozen=True, tag="interrupt", tag_field="type", forbid_unknown_fields=True):
    command: UUID | None = None
    ref: str = ""


_decoder = msgspec.json.Decoder(Type | Resize | Run | Interrupt)


@websocket("/t/{tenant:str}/sessions/{session:uuid}/live")
async def live(
    socket: WebSocket[Any, Any, Any],
    session: FromPath[UUID],
    house: NamedDependency[House],
    after: FromQuery[int] = -1,
) -> None:
    """Serve one browser (cookie and same origin) or one API client (bearer token)."""
    await socket.accept()
    try:
        member = await _member(socket, house)
        found = await review.card(house, member, session)
        if found is None:
            raise RefusedError(NOT_FOUND)
    except RefusedError as error:
        await socket.close(CLOSE_NOT_YOURS, error.refused.reason)
        return
    missed = (screen.text_of(screen.Resync()), Close(CLOSE_RESYNC, "Too much was missed; load again."))
    watcher = Watcher(member.id, sender(socket), missed)
    guard: asyncio.Task[None] | None = None
    try:
        position = await _catch_up(socket, house, member, session, after, watcher)
        mine = await commands.working(house, member, session)
        hello = screen.Hello(
            card=found,
            mine=not isinstance(mine, Refused),
            why_not=mine.reason if isinstance(mine, Refused) else "",
            position=position,
        )
        await socket.send_data(screen.text_of(hello), mode="text")
        watcher.begin()
        guard = asyncio.create_task(_guard(socket, house, member, watcher), name="session guard")
        await _read(socket, house, member, session, watcher)
    except WebSocketDisconnect:
        pass
    finally:
        house.live.watchers.remove(session, watcher)
        watcher.gone()
        if guard is not None:
            guard.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await guard


async def _member(socket: WebSocket[Any, Any, Any], house: House) -> Member:
    if "authorization" in socket.headers:
        return await member_of_api(house, socket)
    if not same_origin(house, socket):
        raise RefusedError(NOT_FOUND)
    return await member_of_page(house, socket)


async def _catch_up(
    socket: WebSocket[Any, Any, Any], house: House, member: Member, session: UUID, after: int, watcher: Watcher
) -> int:
    """Send the output that the browser lacks, then let the watcher hear what comes; nothing falls between the two."""
    if not 0 <= after <= LAST_POSITION:
        position = await _recent(socket, house, member, session)
    else:
        position = after
    for _ in range(100):
        behind = False
        async for row in _outputs(house, member, session, position + 1):
            behind = True
            position = row[0]
            await socket.send_data(screen.output_bytes(*row), mode="binary")
        if not behind:
            break
    house.live.watchers.add(session, watcher)
    async for row in _outputs(house, member, session, position + 1):  # written while the last read was under way
        position = row[0]
        watcher.send(screen.output_bytes(*row))
    return position


async def _recent(socket: WebSocket[Any, Any, Any], house: House, member: Member, session: UUID) -> int:
    kept: list[tuple[int, UUID | None, bytes]] = []
    size, position = 0, -1
    async for row in _outputs(house, member, session, 0):
        kept.append(row)
        size += len(row[2])
        position = row[0]
        while size > HISTORY and len(kept) > 1:
            size -= len(kept.pop(0)[2])
    for row in kept:
        await socket.send_data(screen.output_bytes(*row), mode="binary")
    return position


async def _outputs(house: House, member: Member, session: UUID, start: int) -> AsyncIterator[tuple[int, UUID | None, bytes]]:
    async for row in review.rows_of(house, member.tenant, session, start):
        event = e.decode(row.event)
        if isinstance(event, e.OutputReceived) and row.disclosure is not None:
            yield row.position, event.command, row.disclosure.texts[0]


async def _read(socket: WebSocket[Any, Any, Any], house: House, member: Member, session: UUID, watcher: Watcher) -> None:
    while True:
        data = await socket.receive_data("text")
        try:
            message = _decoder.decode(data)
        except (msgspec.DecodeError, RecursionError):
            await socket.close(CLOSE_BAD_MESSAGE, "This message was not understood.")
            return
        ref, outcome = "", None
        match message:
            case Type():
                outcome = await commands.type_keys(house, member, session, message.data.encode(errors="replace"))
            case Resize():
                outcome = await commands.resize(house, member, session, message.columns, message.rows)
            case Run():
                ref = message.ref
                answer = await commands.run(house, member, session, message.line)
                outcome = answer if isinstance(answer, Refused) else None
            case Interrupt():
                ref = message.ref
                outcome = await commands.interrupt(house, member, session, message.command)
        if isinstance(outcome, Refused):
            watcher.send(screen.text_of(screen.Declined(ref=ref, reason=outcome.reason, what_to_do=outcome.what_to_do)))


async def _guard(socket: WebSocket[Any, Any, Any], house: House, member: Member, watcher: Watcher) -> None:
    """End the socket at once when its member may not have it any more, and soon after they signed out."""
    with house.live.news.subscribe(member.tenant, member.id, only="rights") as rights:
        while await still(house, socket, member):
            try:
                await rights.next(RECHECK_SECONDS)
            except StopAsyncIteration:
                return  # the server stops
    watcher.close(CLOSE_NOT_YOURS, "You are not signed in any more.")
