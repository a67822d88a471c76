"""Who watches a session in a browser. One encoding per message; a watcher that is too slow is told to load again."""

from uuid import UUID

from caisey_core.live.outbox import Outbox

LONGEST_QUEUE = 4 << 20  # bytes that may wait for one watcher


class Watcher:
    """One browser's socket: text for states, bytes for output. The door's writer task empties it."""

    def __init__(self, member: UUID) -> None:
        self.member = member
        self._outbox: Outbox[str | bytes] = Outbox()
        self._size = 0
        self.closed = False
        self.overrun = False

    def send(self, message: str | bytes) -> None:
        """Queue a message; past the limit everything is dropped and the browser will be told to load again."""
        if self.overrun or self.closed:
            return
        self._size += len(message)
        if self._size > LONGEST_QUEUE:
            self._outbox.drop()
            self.overrun = True
            self._outbox.wake()
        else:
            self._outbox.put(message)

    def close(self) -> None:
        """End after what waits was sent."""
        self.closed = True
        self._outbox.wake()

    async def next(self) -> list[str | bytes] | None:
        """Return what is to be sent now, in order; None once it is time to close."""
        while not (taken := self._outbox.take()):
            if self.closed or self.overrun:
                return None
            await self._outbox.sleep()
        self._size = 0
        return taken


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
                watcher.close()
