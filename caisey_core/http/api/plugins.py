"""Plugins of the tenant: what is installed, settings, enabling. Secrets go in and never come out."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.problems import given
from caisey_core.services import plugins
from caisey_core.services.plugins import Given
from caisey_core.services.views import PluginDetail, PluginTest, PluginView


class NewSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a plugin; what is left out has its default. A secret is a text, null, or {"kept": "its place"} as it was
    read: then it stays. `version` is the one that was read, 0 where nothing is stored yet."""

    settings: dict[str, Any]
    version: int
    allow_private: bool = False
    enable: bool = False
    anyway: bool = False  # store what the plugin could not be asked about


class Trial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings to try; null: those that are stored."""

    settings: dict[str, Any] | None = None
    allow_private: bool = False


class Enabling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    anyway: bool = False


class First(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str


@get("/plugins")
async def list_plugins(member: Member_, house: House_) -> tuple[PluginView, ...]:
    """List what is installed, and how it does."""
    return given(await plugins.page(house, member))


@get("/plugins/{plugin:str}")
async def show_plugin(plugin: FromPath[str], member: Member_, house: House_) -> PluginDetail:
    """Show a plugin with its settings; in a secret's place is where it is kept."""
    return given(await plugins.detail(house, member, plugin))


@post("/plugins/{plugin:str}/settings", status_code=HTTP_200_OK)
async def change_plugin(plugin: FromPath[str], data: JSONBody[NewSettings], member: Member_, house: House_) -> PluginDetail:
    """Store settings once the plugin said that they work."""
    new = Given(json=data.settings, allow_private=data.allow_private)
    return given(await plugins.save(house, member, plugin, new, data.version, enable=data.enable, anyway=data.anyway))


@post("/plugins/{plugin:str}/test", status_code=HTTP_200_OK)
async def try_plugin(plugin: FromPath[str], data: JSONBody[Trial], member: Member_, house: House_) -> PluginTest:
    """Try settings without storing them."""
    new = None if data.settings is None else Given(json=data.settings, allow_private=data.allow_private)
    return given(await plugins.test(house, member, plugin, new))


@post("/plugins/{plugin:str}/enable", status_code=HTTP_200_OK)
async def enable_plugin(plugin: FromPath[str], data: JSONBody[Enabling], member: Member_, house: House_) -> PluginDetail:
    """Enable a plugin with what is stored for it, once it said that it works."""
    return given(await plugins.enable(house, member, plugin, anyway=data.anyway))


@post("/plugins/{plugin:str}/disable", status_code=HTTP_200_OK)
async def disable_plugin(plugin: FromPath[str], member: Member_, house: House_) -> PluginDetail:
    """Disable a plugin; its settings stay."""
    return given(await plugins.disable(house, member, plugin))


@post("/plugins/{plugin:str}/default", status_code=HTTP_200_OK)
async def prefer_plugin(plugin: FromPath[str], data: JSONBody[First], member: Member_, house: House_) -> PluginDetail:
    """Let a plugin come first among those of a kind."""
    return given(await plugins.prefer(house, member, plugin, data.kind))


handlers = [list_plugins, show_plugin, change_plugin, try_plugin, enable_plugin, disable_plugin, prefer_plugin]
