"""What a plugin is given: its settings, store, clock and log, and HTTP to the hosts that it declared."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from caisey_core.catalogue.plugin_store import PluginStore
from caisey_core.plugin_host.choices import Choices
from caisey_core.plugin_host.sealing import Unreadable
from caisey_core.plugin_host.settings import concealed
from caisey_core.record.keys import KeyTrouble
from caisey_hookspecs import Clock, Context, Entry, Http, PluginInfo, Rejected, Reporter, Secret, Unavailable

LONGEST_KEY: Final = 200  # characters
LARGEST_VALUE: Final = 64 * 1024  # bytes

R = TypeVar("R")


class TenantStore:
    """A plugin's entries in one tenant, sealed where they are kept. Calls come from the plugin's thread; the queries run on the
    core's loop."""

    def __init__(self, tables: PluginStore, keys: Choices, core: asyncio.AbstractEventLoop, tenant: UUID, plugin: str) -> None:
        self._tables, self._keys, self._core, self._tenant, self._plugin = tables, keys, core, tenant, plugin

    async def _there(self, work: Coroutine[Any, Any, R]) -> R:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._core))

    async def get(self, key: str) -> Entry | None:
        """Return the entry, or None. Raises Unavailable for one that cannot be opened."""
        return await self._there(self._get(key))

    async def _get(self, key: str) -> Entry | None:
        found = await self._tables.get(self._tenant, self._plugin, key)
        if found is None:
            return None
        try:
            return Entry((await self._keys.key(self._tenant)).open_entry(self._plugin, key, found[0]), found[1])
        except Unreadable:  # the key may have been replaced meanwhile
            return await self._get_again(key)

    async def _get_again(self, key: str) -> Entry | None:
        try:
            tenant_key = await self._keys.key(self._tenant, again=True)
            found = await self._tables.get(self._tenant, self._plugin, key)
            return None if found is None else Entry(tenant_key.open_entry(self._plugin, key, found[0]), found[1])
        except (Unreadable, KeyTrouble) as error:
            raise Unavailable(str(error)) from error

    async def put(self, key: str, value: bytes, *, if_version: int | None = None) -> int | None:
        """Write, or compare and swap. Raises Rejected past the limits."""
        if not 0 < len(key) <= LONGEST_KEY or "\x00" in key or len(value) > LARGEST_VALUE:
            raise Rejected(f"Keys have 1 to {LONGEST_KEY} characters but NUL, values {LARGEST_VALUE} bytes at most.")
        return await self._there(self._put(key, value, if_version))

    async def _put(self, key: str, value: bytes, if_version: int | None) -> int | None:
        sealed = (await self._keys.key(self._tenant)).seal_entry(self._plugin, key, value)
        return await self._tables.put(self._tenant, self._plugin, key, sealed, if_version)

    async def delete(self, key: str) -> None:
        """Remove the entry."""
        await self._there(self._tables.delete(self._tenant, self._plugin, key))

    async def keys(self, prefix: str = "") -> list[str]:
        """Return keys that start so."""
        return await self._there(self._tables.keys(self._tenant, self._plugin, prefix))


class SystemClock:
    """The time in UTC."""

    def now(self) -> datetime:
        """Return it."""
        return datetime.now(UTC)


def decode_settings(info: PluginInfo, stored: bytes | None, seen: list[str] | None = None) -> Struct:
    """Return what a tenant's admin entered (JSON), or the defaults. `seen` gets the texts of secrets, also where the rest fails.

    Raises msgspec.ValidationError if it does not fit, and whatever the plugin's own checks of its Settings raise.
    """

    def hide(wanted: type[Any], value: Any) -> Any:
        found = concealed(wanted, value)
        if seen is not None and isinstance(found, Secret):
            seen.append(found.reveal())
        return found

    return msgspec.json.decode(b"{}" if stored is None else stored, type=info.settings, dec_hook=hide)


def make_context(
    info: PluginInfo,
    settings: Struct,
    tenant: UUID,
    tables: PluginStore,
    keys: Choices,
    core: asyncio.AbstractEventLoop,
    clock: Clock,
    http: Http,
    log: logging.Logger,
    report: Reporter,
) -> Context[Any]:
    """Return the context of one plugin in one tenant. `core` is the loop on which the store's queries run, sealed under `keys`."""
    return Context(
        tenant=str(tenant),
        settings=settings,
        store=TenantStore(tables, keys, core, tenant, info.name),
        http=http,
        log=log,
        clock=clock,
        report=report,
    )
