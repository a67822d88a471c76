"""Who watches a session in a browser. One encoding per message; a watcher that is too slow is told to load again."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from caisey_core.live.outbox import Close, Outbox

LONGEST_QUEUE = 4 << 20  # bytes that may wait for one watcher


Message = str | bytes | Close


class Watcher:
    """One browser's socket: text for states, bytes for output. `send` is the door's; nothing leaves before `begin`."""

    def __init__(self, member: UUID, send: Callable[[Message], Coroutine[Any, Any, None]], missed: Sequence[Message]) -> None:
        """`missed` is said when the browser is too slow."""
        self.member = member
        self._outbox: Outbox[Message] = Outbox(send, held=True)
        self._missed = missed
        self._ended = False

    def begin(self) -> None:
        """Send what came so far, and from now on at once."""
        self._outbox.begin()

    def send(self, message: str | bytes) -> None:
        """Send a message; past the limit everything is dropped and the browser is told to load again."""
        if self._ended:
            return
        self._outbox.put(message)
        if self._outbox.size > LONGEST_QUEUE:
            self._ended = True
            self._outbox.drop()
            for last in self._missed:
                self._outbox.put(last)

    def close(self, code: int, reason: str) -> None:
        """End after what waits was sent."""
        if not self._ended:
            self._ended = True
            self._outbox.put(Close(code, reason))

    def gone(self) -> None:
        """Send nothing more: the socket is gone."""
        self._ended = True
        self._outbox.stop()


class Watchers:
    """All watchers, by session."""

    def __init__(self) -> None:
        self._of: dict[UUID, set[Watcher]] = {}

    def add(self, session: UUID, watcher: Watcher) -> None:
        """Begin to send this session's messages."""
        self._of.setdefault(session, set()).add(watcher)

    def remove(self, session: UUID, watcher: Watcher) -> None:
        """Stop sending."""
        watchers = self._of.get(session)
        if watchers is not None:
            watchers.discard(watcher)
            if not watchers:
                del self._of[session]

    def any(self, session: UUID) -> bool:
        """Say whether somebody watches."""
        return session in self._of

    def send(self, session: UUID, message: str | bytes) -> None:
        """Send to everyone who watches this session."""
        for watcher in self._of.get(session, ()):
            watcher.send(message)

    def members(self, session: UUID) -> set[UUID]:
        """Return who watches."""
        return {watcher.member for watcher in self._of.get(session, ())}

    def close(self) -> None:
        """End all: the server stops."""
        for watchers in self._of.values():
            for watcher in watchers:
                watcher.close(1001, "The server stops.")
