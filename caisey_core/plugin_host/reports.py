"""News from plugins on their way into the core: from the plugin's thread to the core's loop."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from caisey_hookspecs import Change, Unavailable

Heard = Callable[[UUID, str, Change], Awaitable[None]]  # tenant, plugin, news; returns once the news is durable


async def nobody(tenant: UUID, plugin: str, change: Change) -> None:
    """Before the core listens there is nobody to take news: whoever brought it tries again."""
    raise Unavailable("The server is starting.")


class TenantReporter:
    """`context.report` of one plugin in one tenant."""

    def __init__(self, heard: Heard, core: asyncio.AbstractEventLoop, tenant: UUID, plugin: str) -> None:
        self._heard, self._core, self._tenant, self._plugin = heard, core, tenant, plugin

    async def __call__(self, change: Change) -> None:
        """Return when the core has the news durably. Raises Unavailable if it cannot be kept now."""

        async def hear() -> None:
            await self._heard(self._tenant, self._plugin, change)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(hear(), self._core))
