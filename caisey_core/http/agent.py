"""The devices' doors: enrolment, and the agent link."""

import asyncio
import secrets
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar import Request, WebSocket, post, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import JSONBody
from litestar.status_codes import HTTP_201_CREATED

from caisey_agent.protocol import frames as f
from caisey_agent.protocol.enrolment import Enrol, Enrolled
from caisey_core.domain.refused import Refused
from caisey_core.http.outgoing import sender
from caisey_core.http.problems import RefusedError
from caisey_core.http.who import address_of
from caisey_core.live.links import Connection
from caisey_core.live.roster import RosterDevice
from caisey_core.services import enrolment, reconnect, tenancy, told
from caisey_core.services.house import House, log
from caisey_core.services.outcomes import SUSPENDED
from caisey_core.services.witnesses import UNREADABLE

HANDSHAKE_SECONDS = 10.0
JUDGEMENT_SECONDS = 60.0  # that a device may need to check and keep a checkpoint
MOST_BACKLOG = 16 << 20  # bytes of the record's backlog above which devices are read no further


@post("/agent/enrol", status_code=HTTP_201_CREATED, exclude_from_csrf=True)
async def enrol(request: Request[Any, Any, Any], data: JSONBody[Enrol], house: NamedDependency[House]) -> Enrolled:
    """Enrol a device with an installer's token."""
    outcome = await enrolment.enrol(house, data, address_of(request))
    if isinstance(outcome, Refused):
        raise RefusedError(outcome)
    return outcome


@websocket("/agent/link")
async def link(socket: WebSocket[Any, Any, Any], house: NamedDependency[House]) -> None:
    """A device's link: handshake, then frames both ways until one side ends it."""
    await socket.accept()
    try:
        came = await _handshake(socket, house)
        if came is not None:
            await _serve(socket, house, *came)
    except WebSocketDisconnect:
        return


async def _handshake(socket: WebSocket[Any, Any, Any], house: House) -> tuple[RosterDevice, bool] | None:
    """Return the device, and whether its agent does not know this server's numbering yet."""
    nonce = secrets.token_bytes(32)
    await _send(socket, f.Challenge(nonce=nonce, server=house.config.deployment))
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            proof = f.decode_from_agent(await socket.receive_data("binary"))
    except (TimeoutError, msgspec.DecodeError):
        await socket.close(f.CLOSE_BAD_FRAME, "The handshake was not understood.")
        return None
    if not isinstance(proof, f.Prove):
        await socket.close(f.CLOSE_BAD_FRAME, "The handshake begins with a proof.")
        return None
    if proof.version != f.PROTOCOL_VERSION:
        await _refuse(socket, f.CLOSE_OLD_VERSION, "This agent's version does not fit.", "Update the agent.", final=True)
        return None
    device = house.live.roster.find(proof.device)
    if device is None:
        removed = await house.catalogue.devices.removed_key(proof.device)
        if removed is not None and _proves(removed, nonce, house, proof):
            await _refuse(
                socket, f.CLOSE_REMOVED, "This device was removed.", "Enrol it again if it should come back.", final=True
            )
        else:
            await _unknown(socket)
        return None
    if not _proves(device.key, nonce, house, proof):
        await _unknown(socket)
        return None
    if house.journal.held or house.closing.is_set():
        await _refuse(socket, 1013, "The server cannot record now.", "", retry_after_seconds=2.0)
        return None
    if house.tenancy.suspended(device.tenant) and not house.journal.of_device(device.id):  # else it hands over their ends
        words = (SUSPENDED.reason, SUSPENDED.what_to_do)
        await _refuse(socket, tenancy.CLOSE_SUSPENDED, *words, retry_after_seconds=tenancy.AWAY_SECONDS)
        return None
    line = house.live.links.of(device.id)
    await _send(socket, f.Welcome(epoch=line.epoch, received=line.received, server_time=house.clock.now()))
    connection = Connection(sender(socket))
    if proof.witnessed is not None and not await _witness(socket, house, device, connection, proof.witnessed):
        connection.gone()
        return None
    if house.closing.is_set() or house.live.roster.find(device.id) is not device or house.live.links.of(device.id) is not line:
        connection.gone()  # the device was removed, or the server stops, while it judged
        await socket.close(1012, "Come again.")
        return None
    line.connect(connection, proof.epoch, proof.received)
    return device, proof.epoch != line.epoch


async def _unknown(socket: WebSocket[Any, Any, Any]) -> None:
    """Refuse a wrong key and an id of nobody in the same words: who holds no key learns of no device."""
    await _refuse(socket, f.CLOSE_NOT_YOU, "This device is not known here by this key.", "Enrol it again.", final=True)


async def _witness(
    socket: WebSocket[Any, Any, Any], house: House, device: RosterDevice, connection: Connection, since: int
) -> bool:
    """Show the device that the record continues what it remembers; False if it does not take it, and the link ends."""
    try:
        shown, connection.witnessed = await house.witnesses.history(device.tenant, since)
    except UNREADABLE as error:
        log.error("no proof can be made from the record", device=device.name, id=str(device.id), exc_info=error)
        await socket.close(1011, "The record cannot be read.")
        return False
    await _send(socket, shown)
    try:
        async with asyncio.timeout(JUDGEMENT_SECONDS):
            said = f.decode_from_agent(await socket.receive_data("binary"))
    except (TimeoutError, msgspec.DecodeError):
        await socket.close(f.CLOSE_BAD_FRAME, "The handshake was not understood.")
        return False
    if isinstance(said, f.Witnessed):
        await house.witnesses.accepted(device, connection, said.size)
        return True
    if isinstance(said, f.Doubts):
        reason = await house.witnesses.refused(device, said)
        await socket.close(f.CLOSE_BAD_FRAME if reason else f.CLOSE_HISTORY, reason[:100])
    else:
        await socket.close(f.CLOSE_BAD_FRAME, "The handshake was not understood.")
    return False


def _proves(key: bytes, nonce: bytes, house: House, proof: f.Prove) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(
            proof.signature, f.proof_bytes(nonce, house.config.deployment, proof.device)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


async def _serve(socket: WebSocket[Any, Any, Any], house: House, device: RosterDevice, new_life: bool) -> None:
    line = house.live.links.of(device.id)
    connection = line.connection
    assert connection is not None
    await reconnect.device_came(house, device, new_life=new_life)
    log.info("device connected", device=device.name, id=str(device.id))
    try:
        while True:
            data = await socket.receive_data("binary")
            try:
                frame = f.decode_from_agent(data)
                if isinstance(frame, f.NumberedToServer):
                    told.numbered(house, device, frame.number, frame.frame)
                elif isinstance(frame, f.Ack):
                    line.confirmed(frame.number)
                elif isinstance(frame, f.Prove):
                    raise told.Distrusted("A second proof does not belong here.")
                elif isinstance(frame, f.Witnessed):
                    await house.witnesses.accepted(device, connection, frame.size)
                elif isinstance(frame, f.Doubts):
                    if reason := await house.witnesses.refused(device, frame):
                        raise told.Distrusted(reason)
                else:
                    told.latest(house, device, frame)
            except (msgspec.DecodeError, told.Distrusted) as error:
                log.warning("device distrusted", device=device.name, id=str(device.id), reason=str(error))
                connection.close(f.CLOSE_BAD_FRAME, str(error)[:100])
                await connection.flushed()
                return
            except told.RecordHeld:
                connection.close(1013, "The server cannot record now.")
                await connection.flushed()
                return
            if house.record.backlog_bytes > MOST_BACKLOG:
                await house.record.drained(MOST_BACKLOG // 2)
    finally:
        connection.gone()
        if line.disconnect(connection):
            reconnect.device_went(house, device)
        log.info("device disconnected", device=device.name, id=str(device.id))


async def _send(socket: WebSocket[Any, Any, Any], frame: f.Frame) -> None:
    await socket.send_data(f.encode(frame), mode="binary")


async def _refuse(
    socket: WebSocket[Any, Any, Any],
    code: int,
    reason: str,
    what_to_do: str,
    *,
    final: bool = False,
    retry_after_seconds: float | None = None,
) -> None:
    await _send(socket, f.Refuse(reason=reason, what_to_do=what_to_do, final=final, retry_after_seconds=retry_after_seconds))
    await socket.close(code, reason)
