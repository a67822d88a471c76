"""What each tenant chose of the installed plugins, with its secrets opened; and the one way to change that."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.plugin_choices import Choice, Chosen, PluginChoices
from caisey_core.plugin_host.sealing import TenantKey, Unreadable
from caisey_core.plugin_host.settings import Setting
from caisey_core.record.keys import KeyTrouble, MasterKey


class Opened(Struct, frozen=True):
    """One plugin in one tenant; `settings` is JSON with its secrets in clear, `stored` the same with its secrets sealed, to be
    shown. `trouble` says why it is off although it is enabled: what is stored cannot be read any more, and is kept."""

    plugin: str
    enabled: bool = True
    settings: bytes | None = None
    allow_private: bool = False
    version: int = 0
    trouble: str = ""
    stored: bytes | None = None

    def __repr__(self) -> str:
        return f"Opened({self.plugin!r}, version={self.version})"  # never the settings


class TenantChoices(Struct, frozen=True):
    """All that a tenant chose, by plugin; `defaults` has the plugin that comes first, by kind."""

    version: int
    plugins: Mapping[str, Opened]
    defaults: Mapping[str, str]


class Change:
    """A change under way; nothing counts before all of it is written."""

    def __init__(self, tables: PluginChoices, tenant: UUID, master: MasterKey, before: Chosen, now: int) -> None:
        self._tables, self._tenant, self._master, self._now = tables, tenant, master, now
        self._sealed_key = before.sealed_key
        self._rows = {choice.plugin: choice for choice in before.plugins}

    def version(self, plugin: str) -> int:
        """Return how often this plugin's choice was changed before."""
        return self._rows[plugin].version if plugin in self._rows else 0

    async def enable(self, plugin: str, *, enabled: bool) -> None:
        """Enable or disable a plugin; its settings stay."""
        await self._put(replace(self._rows.get(plugin) or Choice(plugin), enabled=enabled))

    async def save(
        self, plugin: str, form: Sequence[Setting], settings: Mapping[str, Any], *, allow_private: bool, enabled: bool
    ) -> None:
        """Store settings that were judged, their secrets sealed. Raises KeyTrouble."""
        sealed = (await self.key()).seal(plugin, form, settings)
        await self._put(Choice(plugin, enabled, sealed, allow_private, self.version(plugin)))

    async def key(self) -> TenantKey:
        """Return the tenant's key; the first time that it is wanted it is made. Raises KeyTrouble."""
        if self._sealed_key is None:
            self._sealed_key = TenantKey.new(self._tenant).sealed(self._master)
            await self._tables.put_key(self._tenant, self._sealed_key)
        return TenantKey.opened(self._master, self._tenant, self._sealed_key)

    async def prefer(self, kind: str, plugin: str) -> None:
        """Let a plugin come first among those of a kind."""
        await self._tables.put_default(self._tenant, kind, plugin)

    async def new_key(self) -> int:
        """Give the tenant a new key and seal its secrets and what its plugins stored under it; returns how many secrets there are.

        Raises KeyTrouble, Unreadable.
        """
        if self._sealed_key is None:
            return 0
        old, new = TenantKey.opened(self._master, self._tenant, self._sealed_key), TenantKey.new(self._tenant)
        count = 0
        for choice in list(self._rows.values()):
            if choice.settings is not None:
                sealed, found = new.reseal(old, choice.plugin, choice.settings)
                await self._put(replace(choice, settings=sealed))
                count += found
        async for entry in self._tables.entries(self._tenant):
            value = old.open_entry(entry.plugin, entry.key, entry.value)
            await self._tables.put_entry(self._tenant, entry.id, new.seal_entry(entry.plugin, entry.key, value))
        await self._tables.put_key(self._tenant, new.sealed(self._master))
        return count

    async def _put(self, choice: Choice) -> None:
        changed = replace(choice, version=choice.version + 1)
        self._rows[choice.plugin] = changed
        await self._tables.put(self._tenant, changed, self._now)


class Choices:
    """Tenants' choices, read and changed with the keys to their secrets."""

    def __init__(self, tables: PluginChoices, master: MasterKey) -> None:
        self._tables, self._master = tables, master
        self._keys: dict[UUID, TenantKey] = {}

    async def key(self, tenant: UUID, *, again: bool = False) -> TenantKey:
        """Return a tenant's key, which is made the first time; `again` reads it anew: it may have been replaced. Raises KeyTrouble."""
        if again or tenant not in self._keys:
            sealed = (await self._tables.read(tenant)).sealed_key
            if sealed is not None:
                self._keys[tenant] = TenantKey.opened(self._master, tenant, sealed)
            else:
                async with self._tables.changing(tenant) as before:
                    self._keys[tenant] = await Change(self._tables, tenant, self._master, before, 0).key()
        return self._keys[tenant]

    async def versions(self) -> dict[UUID, int]:
        """Return a number for each tenant that rises with each change, whoever made it."""
        return await self._tables.versions()

    async def of(self, tenant: UUID) -> TenantChoices:
        """Return a tenant's choices as they are stored now."""
        found = await self._tables.read(tenant)
        key, trouble = TenantKey.new(tenant), ""
        if found.sealed_key is not None:
            try:
                key = TenantKey.opened(self._master, tenant, found.sealed_key)
            except KeyTrouble:
                trouble = "The key to the stored secrets was sealed by another master key. Give the server back the one it had."
        return TenantChoices(
            found.version, {choice.plugin: _opened(key, choice, trouble) for choice in found.plugins}, found.defaults
        )

    @asynccontextmanager
    async def changing(self, tenant: UUID, now: int) -> AsyncIterator[Change]:
        """Change a tenant's choices; an exception within takes all of it back. Raises KeyTrouble."""
        async with self._tables.changing(tenant) as before:
            yield Change(self._tables, tenant, self._master, before, now)


def _opened(key: TenantKey, choice: Choice, trouble: str) -> Opened:
    settings = None
    if choice.settings is not None and not trouble:
        try:
            settings = msgspec.json.encode(key.open(choice.plugin, choice.settings))
        except Unreadable as error:
            trouble = str(error)
    return Opened(
        plugin=choice.plugin,
        enabled=choice.enabled,
        settings=settings,
        allow_private=choice.allow_private,
        version=choice.version,
        trouble=trouble if choice.settings is not None else "",
        stored=choice.settings,
    )
