"""Plugins hear what happened, once it is durable: kind, stream and time, never contents."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from caisey_core.domain import events as e
from caisey_core.services.house import House, log
from caisey_core.services.journal import AUDIT, OpenSession
from caisey_hookspecs import CoreEvent

MOST_WAITING: Final = 1000  # events that plugins have not heard yet; what comes then, they do not hear


class PluginEvents:
    """Tells the plugins of each tenant. Nobody waits for them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._waiting = 0

    def of_session(self, session: OpenSession, event: e.SessionEvent, _position: int, _texts: tuple[bytes, ...]) -> None:
        """A session's event is in the record."""
        self._tell(session.tenant, session.stream, event)

    def of_audit(self, tenant: UUID, event: e.AnyEvent) -> None:
        """An event is in the audit log."""
        self._tell(tenant, AUDIT, event)

    def _tell(self, tenant: UUID, stream: str, event: e.AnyEvent) -> None:
        if not self._house.plugins.anybody_listens:
            return
        if self._waiting >= MOST_WAITING:
            log.warning("plugins hear too slowly; an event was not told to them", stream=stream)
            return
        self._waiting += 1
        told = CoreEvent(
            kind=str(event.__struct_config__.tag),
            tenant=str(tenant),
            stream=stream,
            at=datetime.fromtimestamp(event.at / 1_000_000, UTC),
        )
        self._house.spawn(self._told(told), "telling plugins")

    async def _told(self, event: CoreEvent) -> None:
        try:
            await self._house.plugins.tell(event)
        finally:
            self._waiting -= 1
