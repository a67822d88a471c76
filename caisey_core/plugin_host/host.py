"""Runs plugins for tenants: one object for each plugin and tenant, every call limited, checked and counted."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from caisey_core.catalogue.plugin_store import Enabled, PluginStore
from caisey_core.plugin_host.context import SystemClock, decode_settings, make_context
from caisey_core.plugin_host.discovery import KINDS, Installed, discover
from caisey_core.plugin_host.runner import Failed, NoAnswer, Runner
from caisey_hookspecs import Clock, CoreEvent, PluginInfo, Rejected, TenantObject, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.plugins")
T = TypeVar("T")
R = TypeVar("R")

QUICK_SECONDS: Final = 1.0  # for making an object, and for hearing an event
FAREWELL_SECONDS: Final = 2.0  # for all plugins' threads to end when the server stops


class PluginFault(Exception):
    """A plugin did what no plugin may: raised, hung, or gave a wrong answer. The words are for an admin."""


class _Misfit(Exception):
    """An answer that is not what the contract says."""


@dataclass
class Health:
    """How a plugin does for one tenant since the server started."""

    calls: int = 0
    failures: int = 0
    hangs: int = 0  # calls in a row without an answer
    last_error: str = ""
    last_seconds: float = 0.0  # duration of the last call that was answered


@dataclass(frozen=True)
class _Usable:
    info: PluginInfo
    hooks: Any  # pluggy's relay of this plugin
    runner: Runner


@dataclass(frozen=True)
class _Kept:
    made: Any  # a tenant's object
    generation: int  # of the plugin's thread on which it was made


class PluginHost:
    """All installed plugins. `call` is the one way to a plugin's object. Used from the core's loop only.

    `installed` has all entry points by name, the second of two equal names under "name (distribution)".
    """

    def __init__(self, tables: PluginStore, clock: Clock | None = None, installed: list[Installed] | None = None) -> None:
        self._tables = tables
        self._clock = clock or SystemClock()
        self.installed: dict[str, Installed] = {}
        for one in discover() if installed is None else installed:
            taken = one.entry_point in self.installed
            self.installed[f"{one.entry_point} ({one.distribution})" if taken else one.entry_point] = one
        self._usable = {
            name: _Usable(one.info, one.hooks, Runner(name))
            for name, one in self.installed.items()
            if one.info is not None and one.hooks is not None
        }
        self._kept: dict[tuple[UUID, str, str], _Kept] = {}
        self._making: defaultdict[tuple[UUID, str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._enabled: dict[UUID, dict[str, Enabled]] = {}
        self._health: defaultdict[tuple[UUID, str], Health] = defaultdict(Health)

    def title(self, plugin: str) -> str:
        """Return a plugin's title, or its name where it cannot be used."""
        usable = self._usable.get(plugin)
        return usable.info.title if usable is not None else plugin

    def first_kind(self, plugin: str) -> type[TenantObject]:
        """Return the class of the object that answers requests from outside. Raises PluginFault for a plugin that cannot be used."""
        usable = self._usable.get(plugin)
        if usable is None:
            raise PluginFault(f"The plugin {plugin} is not installed, or is broken.")
        made: type[TenantObject] = KINDS[usable.info.kinds[0]].makes
        return made

    async def is_enabled(self, tenant: UUID, plugin: str) -> bool:
        """Say whether a tenant uses this plugin."""
        usable = self._usable.get(plugin)
        return usable is not None and _is_on(usable.info, await self._chosen(tenant))

    async def enabled(self, tenant: UUID, kind: str) -> list[str]:
        """Return the tenant's plugins of a kind: what was enabled, and built-ins that need no settings."""
        chosen = await self._chosen(tenant)
        return [name for name, usable in self._usable.items() if kind in usable.info.kinds and _is_on(usable.info, chosen)]

    async def _chosen(self, tenant: UUID) -> dict[str, Enabled]:
        if tenant not in self._enabled:
            rows = await self._tables.enabled(tenant)
            self._enabled[tenant] = {row.plugin: row for row in rows}
        return self._enabled[tenant]

    def changed(self, tenant: UUID, plugin: str) -> None:
        """Forget a plugin's objects and the tenant's choice: settings changed, or it was enabled or disabled."""
        self._enabled.pop(tenant, None)
        for key in [key for key in self._kept if key[:2] == (tenant, plugin)]:
            del self._kept[key]

    @overload
    async def call(
        self,
        tenant: UUID,
        plugin: str,
        kind: type[T],
        method: Callable[[T], Coroutine[Any, Any, R]],
        limit_seconds: float,
        *,
        expect: type[R],
    ) -> R: ...
    @overload
    async def call(
        self,
        tenant: UUID,
        plugin: str,
        kind: type[T],
        method: Callable[[T], Coroutine[Any, Any, R]],
        limit_seconds: float,
        *,
        expect: tuple[type, ...],
    ) -> R: ...
    async def call(
        self,
        tenant: UUID,
        plugin: str,
        kind: type[T],
        method: Callable[[T], Coroutine[Any, Any, R]],
        limit_seconds: float,
        *,
        expect: type[R] | tuple[type, ...],
    ) -> R:
        """Call a method of a tenant's plugin object on the plugin's own thread, within a time limit.

        `kind` is the class of the contract (Identity, Shell, Notifier), `expect` the type or types of a right answer; a
        Struct's fields are checked too. Raises Unavailable and Rejected as the plugin raised them, PluginFault for everything
        else that a plugin may not do, and where the plugin is not installed, not usable or not enabled for the tenant.
        """
        usable = self._usable.get(plugin)
        if usable is None:
            raise PluginFault(f"The plugin {plugin} is not installed, or is broken.")
        chosen = await self._chosen(tenant)
        if not _is_on(usable.info, chosen):
            raise PluginFault(f"The plugin {plugin} is not enabled.")
        expected = expect if isinstance(expect, tuple) else (expect,)

        async def work() -> Any:
            return await self._answer(found, method, expected)

        with _Counted(self._health[tenant, plugin], plugin):
            found = await self._object(tenant, usable, kind, chosen)
            answer: R = await usable.runner.call(work, limit_seconds, (Unavailable, Rejected, _Misfit))
        return answer

    @staticmethod
    async def _answer(found: T, method: Callable[[T], Coroutine[Any, Any, R]], expected: tuple[type, ...]) -> Any:
        """Await the method's answer and check it; on the plugin's thread, so that a huge one costs the core nothing."""
        answer = await method(found)
        wanted = next((one for one in expected if isinstance(answer, one)), None)
        if wanted is None:
            raise _Misfit(f"gave {type(answer).__name__} as an answer")
        if not isinstance(answer, Struct):
            return answer
        try:
            return msgspec.convert(msgspec.to_builtins(answer), wanted)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise _Misfit(f"gave a {wanted.__name__} that does not fit the contract ({error})") from error

    async def _object(self, tenant: UUID, usable: _Usable, kind: type[T], chosen: dict[str, Enabled]) -> T:
        name, runner = usable.info.name, usable.runner
        key = (tenant, name, kind.__name__)
        async with self._making[key]:
            kept = self._kept.get(key)
            if kept is not None and kept.generation == runner.ready():
                made: T = kept.made
                return made
            row = chosen.get(name) or Enabled(plugin=name, settings=None)
            core = asyncio.get_running_loop()
            factory = next(getattr(usable.hooks, known.hook) for known in KINDS.values() if known.makes is kind)

            async def make() -> T:
                # on the plugin's thread from here: also its Settings and its hosts_from are foreign code
                try:
                    settings = decode_settings(usable.info, row.settings)
                except msgspec.MsgspecError as error:
                    raise _Misfit(f"cannot use its settings ({error}); an admin has to enter them again") from error
                private = row.allow_private
                context = make_context(usable.info, settings, tenant, self._tables, core, self._clock, allow_private=private)
                found = factory(context=context)
                if not isinstance(found, kind):
                    raise _Misfit(f"made {type(found).__name__}, which is no {kind.__name__}")
                return found

            made = await runner.call(make, QUICK_SECONDS, (Rejected, _Misfit))
            if self._enabled.get(tenant) is chosen:  # else settings changed meanwhile: use it this once
                self._kept[key] = _Kept(made, runner.generation)
            return made

    async def tell(self, event: CoreEvent) -> None:
        """Tell the tenant's plugins what happened, one after the other; call it once the event is durable.

        What they raise is counted and ignored, what they take too long over is left behind.
        """
        tenant = UUID(event.tenant)
        chosen = await self._chosen(tenant)
        for name, usable in self._usable.items():
            if not _is_on(usable.info, chosen) or not usable.hooks.caisey_event.get_hookimpls():
                continue

            async def hear(usable: _Usable = usable) -> None:
                usable.hooks.caisey_event(event=event)

            try:
                with _Counted(self._health[tenant, name], name):
                    await usable.runner.call(hear, QUICK_SECONDS, (Unavailable, Rejected))
            except (Unavailable, Rejected, PluginFault):
                continue

    def health(self, tenant: UUID, plugin: str) -> Health:
        """Return how a plugin does for a tenant."""
        return self._health[tenant, plugin]

    async def close(self) -> None:
        """Stop all plugins' threads; one that hangs is left behind."""
        await asyncio.gather(*(usable.runner.close(FAREWELL_SECONDS) for usable in self._usable.values()))


def _is_on(info: PluginInfo, chosen: dict[str, Enabled]) -> bool:
    return info.enabled_by_default or info.name in chosen


class _Counted:
    """Counts one call in a plugin's health, and turns what no plugin may do into PluginFault."""

    def __init__(self, health: Health, plugin: str) -> None:
        self._health, self._plugin = health, plugin

    def __enter__(self) -> None:
        self._health.calls += 1
        self._began = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        health = self._health
        if error is None:
            health.hangs, health.last_seconds = 0, time.monotonic() - self._began
            return
        if not isinstance(error, Exception):
            return  # the core's own task was cancelled
        health.failures += 1
        health.hangs = health.hangs + 1 if isinstance(error, NoAnswer) else 0
        if isinstance(error, Unavailable | Rejected):
            health.last_error = str(error)
            return
        words = f"failed ({error})" if isinstance(error, Failed) else str(error)
        if isinstance(error, Failed | NoAnswer | _Misfit):
            health.last_error = f"The plugin {self._plugin} {words}."
            log.error("a plugin failed", plugin=self._plugin, words=words, exc_info=error)
            raise PluginFault(health.last_error) from error
