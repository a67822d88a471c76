"""Plugins: which are installed, which are enabled, and how they do."""

from litestar import get

from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.problems import given
from caisey_core.services import plugins
from caisey_core.services.views import PluginView


@get("/plugins")
async def list_plugins(member: Member_, house: House_) -> tuple[PluginView, ...]:
    """List what is installed on this server, and how it does for this company."""
    return given(await plugins.page(house, member))


handlers = [list_plugins]
