"""Plugins as admins and other services see them."""

from typing import Literal
from uuid import UUID

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.live.roster import RosterDevice
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services.house import House, log
from caisey_core.services.outcomes import bad_input
from caisey_core.services.views import PluginView
from caisey_hookspecs import CommandView, Rejected, Shell, Unavailable

LIMIT_SECONDS = 0.5
KINDS = ("identity", "shell", "notifier")
VANISHED = "It is enabled here, but not installed any more. Its settings are kept: install it and start the server again."


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


async def page(house: House, member: Member) -> tuple[PluginView, ...] | Refused:
    """Return what is installed, and how it does for this tenant."""
    if (refused := refuse_unless(member, May.SEE_PLUGINS)) is not None:
        return refused
    enabled = {name for kind in KINDS for name in await house.plugins.enabled(member.tenant, kind)}
    views = [
        PluginView(name=name, title=name, version="", kinds=(), enabled=True, state="broken", detail=VANISHED)
        for name in await house.plugins.vanished(member.tenant)
        if name not in house.plugins.installed
    ]
    for name, one in house.plugins.installed.items():
        health = house.plugins.health(member.tenant, name)
        info = one.info
        works = health.state in ("unused", "well")
        state: Literal["ok", "failing", "broken"] = "broken" if info is None else "ok" if works else "failing"
        views.append(
            PluginView(
                name=name,
                title=info.title if info is not None else name,
                version=info.version if info is not None else "",
                kinds=info.kinds if info is not None else (),
                enabled=name in enabled,
                state=state,
                detail=one.verdict if info is None else health.words,
            )
        )
    return tuple(views)
