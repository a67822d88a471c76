"""Keeps the catalogue's session rows: a projection of the record, written beside it and rebuilt from it."""

import asyncio
from uuid import UUID

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.services.cards import row_of_card
from caisey_core.services.house import log
from caisey_core.services.journal import OpenSession

LINGER_SECONDS = 0.1


class Projector:
    """Saves changed sessions, each at most once per linger."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._changed: dict[UUID, OpenSession] = {}
        self._wake = asyncio.Event()

    def changed(self, session: OpenSession) -> None:
        """Save this session soon."""
        self._changed[session.id] = session
        self._wake.set()

    async def save(self, session: OpenSession) -> None:
        """Save this session now."""
        self._changed.pop(session.id, None)
        await self._catalogue.sessions.upsert(session.tenant, row_of_card(session))

    async def run(self) -> None:
        """Save for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(LINGER_SECONDS)
            self._wake.clear()
            try:
                await self.flush()
            except Exception as error:  # a row can be made again from the record; the next change tries anew
                log.error("session rows could not be written", exc_info=error)

    async def flush(self) -> None:
        """Save all that waits."""
        while self._changed:
            _, session = self._changed.popitem()
            await self._catalogue.sessions.upsert(session.tenant, row_of_card(session))
