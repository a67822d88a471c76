"""Requests from outside for plugins: vendors' webhooks and providers' messages. The core judges size and rate, the plugin the rest."""

import time
from typing import Final

from caisey_core.domain.refused import Refused
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services import tenancy
from caisey_core.services.house import House, log
from caisey_core.services.outcomes import NOT_FOUND
from caisey_hookspecs import IncomingAnswer, IncomingRequest, Rejected, Unavailable

LIMIT_SECONDS: Final = 5.0
LARGEST_ANSWER: Final = 64 * 1024  # bytes
_REDIRECTS: Final = range(300, 400)
TRY_AGAIN: Final = Refused("This cannot be taken now.", "Send it again later.", 503, retry_after_seconds=30)


async def admit(house: House, slug: str, plugin: str, address: str) -> Refused | None:
    """Say whether a request may come in here: the plugin is enabled for this tenant, and the address does not flood it.

    What is unknown, broken or not enabled looks the same.
    """
    tenant = await tenancy.at(house, slug)
    if isinstance(tenant, Refused):
        return tenant
    if not await house.plugins.is_enabled(tenant.id, plugin):
        return NOT_FOUND
    now, who = time.monotonic(), f"{tenant.id} {plugin} {address}"
    wait = house.arrivals.wait_seconds(who, now)
    if wait > 0:
        return Refused(
            "Too many requests from this address.", "Wait a moment and send it again.", 429, retry_after_seconds=wait
        )
    house.arrivals.tried(who, now)
    return None


async def incoming(house: House, slug: str, plugin: str, request: IncomingRequest) -> IncomingAnswer | Refused:
    """Let a plugin answer. Whoever sent the request is told nothing about why it could not."""
    tenant = await tenancy.at(house, slug)
    if isinstance(tenant, Refused):
        return tenant
    if not await house.plugins.is_enabled(tenant.id, plugin):
        return NOT_FOUND
    try:
        answer = await house.plugins.call(
            tenant.id,
            plugin,
            house.plugins.first_kind(plugin),
            lambda found: found.incoming(request),
            LIMIT_SECONDS,
            expect=IncomingAnswer,
            from_outside=True,
        )
    except (Unavailable, Rejected, PluginFault) as error:
        log.warning("a plugin could not take a request", plugin=plugin, path=request.path, error=str(error))
        return TRY_AGAIN
    if not 200 <= answer.status <= 599 or answer.status in _REDIRECTS or len(answer.body) > LARGEST_ANSWER:
        log.warning("a plugin gave an answer that is not sent", plugin=plugin, status=answer.status, size=len(answer.body))
        return TRY_AGAIN
    return answer
