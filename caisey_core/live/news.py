"""What changed, for everyone who has a page open. News names a thing, never its content: the page asks again with its own rights."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Literal
from uuid import UUID

from msgspec import Struct

Subject = Literal["device", "session", "assignment", "notice", "client", "rights"]


class News(Struct, frozen=True):
    """This thing is not what it was. `member` limits a notice to its recipient.

    "rights", with the tenant's id: somebody may do more or less than before; what is held open for members is looked at again.
    """

    subject: Subject
    id: UUID
    member: UUID | None = None


class Subscription:
    """One page's news, in order of first change; the same news waits only once, so a slow page bounds itself."""

    def __init__(self, member: UUID, only: Subject | None = None) -> None:
        self._member, self._only = member, only
        self._waiting: dict[News, None] = {}
        self._arrived = asyncio.Event()
        self._closed = False

    def offer(self, news: News) -> None:
        """Take news unless it is for somebody else, or of no interest here."""
        if (news.member is None or news.member == self._member) and self._only in (None, news.subject):
            self._waiting[news] = None
            self._arrived.set()

    def close(self) -> None:
        """End the iteration after what waits was delivered."""
        self._closed = True
        self._arrived.set()

    async def next(self, patience_seconds: float) -> list[News]:
        """Return what changed, or an empty list after the patience ended. Raises StopAsyncIteration once closed."""
        if not self._waiting and not self._closed:
            try:
                async with asyncio.timeout(patience_seconds):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        if not self._waiting and self._closed:
            raise StopAsyncIteration
        self._arrived.clear()
        taken, self._waiting = list(self._waiting), {}
        return taken

    async def __aiter__(self) -> AsyncIterator[News]:
        while True:
            try:
                for news in await self.next(3600):
                    yield news
            except StopAsyncIteration:
                return


class Newsroom:
    """Who listens, by tenant."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, set[Subscription]] = {}

    @contextmanager
    def subscribe(self, tenant: UUID, member: UUID, only: Subject | None = None) -> Iterator[Subscription]:
        """Listen while the context lasts, to all or to one kind of news."""
        subscription = Subscription(member, only)
        self._listeners.setdefault(tenant, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._listeners[tenant].discard(subscription)

    def tell(self, tenant: UUID, news: News) -> None:
        """Tell everyone in the tenant whom it concerns."""
        for subscription in self._listeners.get(tenant, ()):
            subscription.offer(news)

    def close(self) -> None:
        """End all subscriptions: the server stops."""
        for listeners in self._listeners.values():
            for subscription in listeners:
                subscription.close()
