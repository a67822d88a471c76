"""Messages on their way into one socket.

A message is sent within the call that puts it, as long as the socket takes it: its `send` is begun by hand and has ended before
it had to wait. Only for a socket that is slow there is a queue, and a task that empties it. There is an outbox for each device
and each open browser: a task and a wake-up each would take 2 kB more and double what it costs to tell 100 watchers something.
"""

import asyncio
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sized
from typing import Any, Generic, NamedTuple, TypeVar

M = TypeVar("M", bound=Sized)


class Close(NamedTuple):
    """A socket's last message: WebSocket close code and words."""

    code: int
    reason: str


class Outbox(Generic[M]):
    """Sends in order. `send` must not raise: whoever puts a message is somebody else."""

    __slots__ = ("_catching_up", "_held", "_send", "_waiting", "size")

    def __init__(self, send: Callable[[M], Coroutine[Any, Any, None]], *, held: bool = False) -> None:
        """A held one keeps everything until `begin`."""
        self._send = send
        self._held = held
        self._waiting: deque[M] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self.size = 0  # of what waits

    def put(self, message: M) -> None:
        """Send a message, after those that wait."""
        if self._catching_up is not None or self._held:
            self._wait(message)
            return
        step = self._send(message)
        try:
            waits_for = step.send(None)
        except StopIteration:
            return
        self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(_go_on(step, waits_for)))

    def _wait(self, message: M) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(message)
        self.size += len(message)

    async def _catch_up(self, begun: "Generator[Any, None, None] | None" = None) -> None:
        try:
            if begun is not None:
                await begun  # type: ignore[misc]  # types.coroutine makes it awaitable
            while self._waiting:
                message = self._waiting.popleft()
                self.size -= len(message)
                await self._send(message)
            self._waiting = None
        finally:
            self._catching_up = None

    def begin(self) -> None:
        """Send what was held, and from now on at once."""
        self._held = False
        if self._waiting is not None and self._catching_up is None:
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())

    def drop(self) -> None:
        """Forget all that waits."""
        self._waiting, self.size = None, 0

    async def flushed(self) -> None:
        """Return once nothing waits."""
        if self._catching_up is not None:
            await asyncio.wait([self._catching_up])

    def stop(self) -> None:
        """Forget all that waits: the socket is gone."""
        self.drop()
        if self._catching_up is not None:
            self._catching_up.cancel()


@types.coroutine
def _go_on(step: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, None, None]:
    """Go on, in a task, with a coroutine that was begun by hand and waits for this."""
    try:
        while True:
            try:
                yield waits_for
            except BaseException as error:  # a cancellation is the coroutine's to hear
                waits_for = step.throw(error)
            else:
                waits_for = step.send(None)
    except StopIteration:
        return
