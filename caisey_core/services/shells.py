"""Shell plugins as other services ask them."""

from uuid import UUID

from caisey_core.domain.refused import Refused
from caisey_core.live.roster import RosterDevice
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services.house import House, log
from caisey_core.services.outcomes import bad_input
from caisey_hookspecs import CommandView, Rejected, Shell, Unavailable

LIMIT_SECONDS = 0.5


async def shell_of(house: House, device: RosterDevice) -> str:
    """Name the shell plugin for a device: the one whose endpoint half it runs; until it told, the tenant's first."""
    if device.facts is not None and device.facts.shell:
        return device.facts.shell
    return next(iter(await house.plugins.enabled(device.tenant, "shell")), "")


async def shell_view(house: House, tenant: UUID, shell: str, line: str) -> CommandView | Refused | None:
    """Ask the shell plugin to look at a command. One that fails stops nobody's work: None, and the device still decides."""
    try:
        view = await house.plugins.call(tenant, shell, Shell, lambda found: found.view(line), LIMIT_SECONDS, expect=CommandView)
    except (Unavailable, Rejected, PluginFault) as error:
        log.warning("a shell plugin failed", plugin=shell, error=str(error))
        return None
    if view.complaint:
        return bad_input("line", view.complaint, "Change the command.")
    return view
