"""The agent links: who is connected, what is on its way to a device, and what of a device's frames is safe here.

Frames to a device are numbered and kept until the device confirms them, so that a broken link loses nothing while this process
lives. After a restart of the server the record says what was still to be done (services/reconnect.py).
"""

import asyncio
import secrets
from bisect import bisect_right
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from msgspec import Struct

from caisey_agent.protocol import frames as f
from caisey_core.live.outbox import Close, Outbox


class Sending(Struct, frozen=True):
    """A frame on its way. What was `typed` is meant for the shell of this moment, not for a later one."""

    number: int
    data: bytes
    typed: bool


class Connection:
    """One open socket of a device. `send` is the door's."""

    __slots__ = ("_outbox", "closing", "witnessed")

    def __init__(self, send: Callable[[bytes | Close], Coroutine[Any, Any, None]]) -> None:
        self._outbox: Outbox[bytes | Close] = Outbox(send)
        self.closing: Close | None = None
        self.witnessed: int | None = None  # leaves under the newest checkpoint that was sent on it; None: no witness

    def write(self, data: bytes) -> None:
        """Send one message."""
        if self.closing is None:
            self._outbox.put(data)

    def close(self, code: int, reason: str) -> None:
        """Close after what was written."""
        if self.closing is None:
            self.closing = Close(code, reason)
            self._outbox.put(self.closing)

    async def flushed(self) -> None:
        """Return once nothing waits."""
        await self._outbox.flushed()

    def gone(self) -> None:
        """Write nothing more: the socket is gone."""
        self.closing = self.closing or Close(1006, "")
        self._outbox.stop()


class Link:
    """A device's end of the line; outlives its sockets. Lists, because they are empty nearly always and there are many."""

    __slots__ = ("_ack_scheduled", "_arriving", "_number", "_unconfirmed", "connection", "device", "epoch", "received")

    def __init__(self, device: UUID, epoch: str) -> None:
        self.device = device
        self.epoch = epoch
        self.connection: Connection | None = None
        self._number = 0
        self._unconfirmed: list[Sending] = []
        self._arriving: list[tuple[int, asyncio.Future[int] | None]] = []
        self.received = 0  # the device's highest number that is durable here
        self._ack_scheduled = False

    def send(self, frame: f.ToAgent) -> None:
        """Send now, or as soon as the device is back."""
        self._number += 1
        data = f.encode(f.NumberedToAgent(number=self._number, frame=frame))
        self._unconfirmed.append(Sending(self._number, data, isinstance(frame, f.Keys)))
        if self.connection is not None:
            self.connection.write(data)

    def confirmed(self, number: int) -> None:
        """The device has everything up to this number."""
        del self._unconfirmed[: bisect_right(self._unconfirmed, number, key=lambda sending: sending.number)]

    def connect(self, connection: Connection, epoch: str, received: int) -> None:
        """Take over with a new socket and send again what the device lacks. An older socket is told and closed.

        An agent that does not know our epoch was started meanwhile: its shell is new, and keys typed into the old one are
        not for it.
        """
        if self.connection is not None:
            self.connection.close(f.CLOSE_REPLACED, "Another agent connected with this device's key.")
        if epoch == self.epoch:
            self.confirmed(received)
        else:
            self._unconfirmed = [sending for sending in self._unconfirmed if not sending.typed]
        self._arriving.clear()
        self.connection = connection
        for sending in self._unconfirmed:
            connection.write(sending.data)

    def disconnect(self, connection: Connection) -> bool:
        """Forget this socket; True if it was the current one."""
        if self.connection is not connection:
            return False
        self.connection = None
        return True

    def arrived(self, number: int, durable: asyncio.Future[int] | None) -> None:
        """Remember a frame of the device; it is confirmed once it and all before it are durable."""
        self._arriving.append((number, durable))
        if durable is None:
            self._confirm_soon()
        else:
            durable.add_done_callback(lambda _: self._confirm_soon())

    def _confirm_soon(self) -> None:
        if not self._ack_scheduled:
            self._ack_scheduled = True
            asyncio.get_running_loop().call_later(0.02, self._confirm)

    def _confirm(self) -> None:
        self._ack_scheduled = False
        before = self.received
        safe = 0
        for number, durable in self._arriving:
            if durable is not None and (not durable.done() or durable.cancelled() or durable.exception() is not None):
                break
            self.received = max(self.received, number)
            safe += 1
        del self._arriving[:safe]
        if self.received > before and self.connection is not None:
            self.connection.write(f.encode(f.Ack(number=self.received)))


class Links:
    """All devices' links of this process."""

    def __init__(self, changed: Callable[[UUID, bool], None] = lambda _device, _online: None) -> None:
        self._epoch = secrets.token_hex(8)
        self._links: dict[UUID, Link] = {}
        self.changed = changed

    def of(self, device: UUID) -> Link:
        """Return the device's link, connected or not."""
        link = self._links.get(device)
        if link is None:
            link = self._links[device] = Link(device, self._epoch)
        return link

    def online(self, device: UUID) -> bool:
        """Say whether the device has an open socket."""
        link = self._links.get(device)
        return link is not None and link.connection is not None

    def close_all(self, code: int, reason: str) -> None:
        """Close every socket: the server stops, or cannot record."""
        for link in self._links.values():
            if link.connection is not None:
                link.connection.close(code, reason)

    def forget(self, device: UUID) -> None:
        """Drop a removed device's link."""
        self._links.pop(device, None)
