"""What a plugin is given: its settings, store, clock and log, and HTTP that reaches nothing undeclared."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from caisey_core.catalogue.plugin_store import PluginStore
from caisey_core.plugin_host.settings import concealed
from caisey_hookspecs import Change, Clock, Context, Entry, HttpAnswer, PluginInfo, Rejected

LONGEST_KEY: Final = 200  # characters
LARGEST_VALUE: Final = 64 * 1024  # bytes

R = TypeVar("R")


class TenantStore:
    """A plugin's entries in one tenant. Calls come from the plugin's thread; the queries run on the core's loop."""

    def __init__(self, tables: PluginStore, core: asyncio.AbstractEventLoop, tenant: UUID, plugin: str) -> None:
        self._tables, self._core, self._tenant, self._plugin = tables, core, tenant, plugin

    async def _there(self, work: Coroutine[Any, Any, R]) -> R:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._core))

    async def get(self, key: str) -> Entry | None:
        """Return the entry, or None."""
        found = await self._there(self._tables.get(self._tenant, self._plugin, key))
        return None if found is None else Entry(*found)

    async def put(self, key: str, value: bytes, *, if_version: int | None = None) -> int | None:
        """Write, or compare and swap. Raises Rejected past the limits."""
        if not 0 < len(key) <= LONGEST_KEY or len(value) > LARGEST_VALUE:
            raise Rejected(f"Keys have 1 to {LONGEST_KEY} characters, values {LARGEST_VALUE} bytes at most.")
        return await self._there(self._tables.put(self._tenant, self._plugin, key, value, if_version))

    async def delete(self, key: str) -> None:
        """Remove the entry."""
        await self._there(self._tables.delete(self._tenant, self._plugin, key))

    async def keys(self, prefix: str = "") -> list[str]:
        """Return keys that start so."""
        return await self._there(self._tables.keys(self._tenant, self._plugin, prefix))


class ClosedHttp:
    """Reaches nothing, and says why."""

    def __init__(self, words: str) -> None:
        self._words = words

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_seconds: float = 10.0,
    ) -> HttpAnswer:
        """Refuse."""
        raise Rejected(self._words)


class SystemClock:
    """The time in UTC."""

    def now(self) -> datetime:
        """Return it."""
        return datetime.now(UTC)


async def _report(change: Change) -> None:
    logging.getLogger("caisey.plugins").info("reported: %s %s", change.subject, change.reference)


def decode_settings(info: PluginInfo, stored: bytes | None) -> Struct:
    """Return what a tenant's admin entered (JSON), or the defaults. Raises msgspec.ValidationError if it does not fit."""
    return msgspec.json.decode(b"{}" if stored is None else stored, type=info.settings, dec_hook=concealed)


def make_context(
    info: PluginInfo, settings: Struct, tenant: UUID, tables: PluginStore, core: asyncio.AbstractEventLoop, clock: Clock
) -> Context[Any]:
    """Return the context of one plugin in one tenant. `core` is the loop on which the store's queries run."""
    closed = "This version of Caisey reaches no vendors yet." if info.hosts else "This plugin declared no hosts."
    return Context(
        tenant=str(tenant),
        settings=settings,
        store=TenantStore(tables, core, tenant, info.name),
        http=ClosedHttp(closed),
        log=logging.getLogger(f"caisey.plugins.{info.name}"),
        clock=clock,
        report=_report,
    )
