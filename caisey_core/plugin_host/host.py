"""Runs plugins for tenants: one object for each plugin and tenant, every call limited, checked and counted."""

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload
from uuid import UUID

import msgspec
import structlog

from caisey_core.catalogue.plugin_store import Enabled, PluginStore
from caisey_core.plugin_host.answers import checked
from caisey_core.plugin_host.context import SystemClock, decode_settings, make_context
from caisey_core.plugin_host.discovery import KINDS, Installed, discover
from caisey_core.plugin_host.failures import Failure, Misfit, SettingsMisfit, failure_of
from caisey_core.plugin_host.health import Health, Pulse
from caisey_core.plugin_host.http import PluginHttp
from caisey_core.plugin_host.masking import Mask, PluginLog, secrets_in
from caisey_core.plugin_host.reach import hosts_of
from caisey_core.plugin_host.runner import Runner
from caisey_hookspecs import Clock, CoreEvent, PluginInfo, Rejected, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.plugins")
T = TypeVar("T")
R = TypeVar("R")

QUICK_SECONDS: Final = 1.0  # for making an object, and for hearing an event
FAREWELL_SECONDS: Final = 2.0  # for all plugins' threads to end when the server stops
RETRY_PAUSES: Final = (0.2, 0.8)  # seconds between the tries of a call that only reads


class PluginFault(Exception):
    """A plugin did what no plugin may: raised, hung, or gave a wrong answer. The words are for an admin."""


@dataclass(frozen=True, slots=True)
class _Usable:
    info: PluginInfo
    hooks: Any  # pluggy's relay of this plugin
    runner: Runner


@dataclass(frozen=True, slots=True)
class _Made:
    """A tenant's object and what was made with it."""

    found: Any
    http: PluginHttp
    mask: Mask
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
        self._kept: dict[tuple[UUID, str, str], _Made] = {}
        self._making: dict[tuple[UUID, str, str], asyncio.Task[_Made | Failure]] = {}
        self._enabled: dict[UUID, dict[str, Enabled]] = {}
        self._pulses: defaultdict[tuple[UUID, str], Pulse] = defaultdict(Pulse)

    # --- what a tenant chose ---

    def title(self, plugin: str) -> str:
        """Return a plugin's title, or its name where it cannot be used."""
        usable = self._usable.get(plugin)
        return usable.info.title if usable is not None else plugin

    async def enabled(self, tenant: UUID, kind: str) -> list[str]:
        """Return the tenant's plugins of a kind: what was enabled, and built-ins that need no settings."""
        chosen = await self._chosen(tenant)
        return [name for name, usable in self._usable.items() if kind in usable.info.kinds and _is_on(usable.info, chosen)]

    async def vanished(self, tenant: UUID) -> list[str]:
        """Return what the tenant enabled and cannot use any more: not installed now, or broken. Its settings are kept."""
        return sorted(name for name in await self._chosen(tenant) if name not in self._usable)

    async def _chosen(self, tenant: UUID) -> dict[str, Enabled]:
        if tenant not in self._enabled:
            self._enabled[tenant] = {row.plugin: row for row in await self._tables.enabled(tenant)}
        return self._enabled[tenant]

    def changed(self, tenant: UUID, plugin: str) -> None:
        """Forget a plugin's objects and the tenant's choice: settings changed, or it was enabled or disabled."""
        self._enabled.pop(tenant, None)
        self._pulses[tenant, plugin].renewed()
        for key in [key for key in self._kept if key[:2] == (tenant, plugin)]:
            self._let_go(plugin, self._kept.pop(key))

    def _let_go(self, plugin: str, made: _Made) -> None:
        self._usable[plugin].runner.soon(made.http.close)

    # --- calls ---

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
        reads: bool = False,
        from_outside: bool = False,
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
        reads: bool = False,
        from_outside: bool = False,
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
        reads: bool = False,
        from_outside: bool = False,
    ) -> R:
        """Call a method of a tenant's plugin object on the plugin's own thread, within a time limit.

        `kind` is the class of the contract (Identity, Shell, Notifier), `expect` the type or types of a right answer, which is
        checked field by field and by its size. With `reads` the caller says that a repetition does no harm: a call that found
        the vendor away is tried up to three times within the limit. With `from_outside` a stranger chose what the plugin has to
        look at: its failure is counted, and never makes the plugin rest.

        Raises Rejected as the plugin raised it; Unavailable as the plugin raised it, or while the plugin rests after failures;
        PluginFault for everything else that a plugin may not do, and where the plugin is not installed, not usable, not enabled
        for the tenant, or does not take its settings.
        """
        usable = self._usable.get(plugin)
        if usable is None:
            raise PluginFault(f"The plugin {plugin} is not installed, or is broken.")
        chosen = await self._chosen(tenant)
        if not _is_on(usable.info, chosen):
            raise PluginFault(f"The plugin {plugin} is not enabled.")
        expected = expect if isinstance(expect, tuple) else (expect,)
        end = time.monotonic() + limit_seconds

        async def once() -> Any:
            made = await self._object(tenant, usable, kind, chosen)
            if isinstance(made, Failure):
                return made

            async def work() -> Any:
                return checked(await method(made.found), expected)

            answer = await usable.runner.call(work, max(end - time.monotonic(), 0.0))
            return _masked(answer, made.mask) if isinstance(answer, Failure) else answer

        async def tried() -> Any:
            for pause in RETRY_PAUSES if reads else ():
                answer = await once()
                if not isinstance(answer, Failure) or answer.kind != "unavailable":
                    return answer
                wait = max(pause * random.uniform(0.5, 1.5), answer.retry_after_seconds or 0.0)  # noqa: S311  no secret
                if time.monotonic() + wait >= end:
                    return answer
                await asyncio.sleep(wait)
            return await once()

        found: R = await self._counted(tenant, usable, tried, steady=from_outside)
        return found

    async def _counted(
        self, tenant: UUID, usable: _Usable, work: Callable[[], Coroutine[Any, Any, Any]], *, steady: bool = False
    ) -> Any:
        """Do it unless the plugin rests here, count it, and raise in the caller's terms what failed. Steady: never rests for it."""
        name, pulse, began = usable.info.name, self._pulses[tenant, usable.info.name], time.monotonic()
        if pulse.off:
            raise PluginFault(pulse.off)
        if wait := pulse.breaker.enter(began):
            raise Unavailable(pulse.resting_words(wait), wait)
        pulse.calls += 1
        try:
            answer = await work()
        except BaseException:  # the core's own task was cancelled, or its database failed
            pulse.breaker.left()
            raise
        if not isinstance(answer, Failure):
            pulse.worked(time.monotonic() - began)
            return answer
        failure, now = answer, time.monotonic()
        if failure.kind == "rejected":  # it answers: a person has to change something
            pulse.breaker.worked()
        elif steady:
            pulse.breaker.left()
        else:
            pulse.breaker.failed(now, failure.retry_after_seconds)
        match failure.kind:
            case "unavailable" | "rejected":
                words = failure.words
            case "settings":
                words = pulse.off = (
                    f"The plugin {name} cannot use its settings ({failure.words}). They are kept; an admin has to enter them again."
                )
            case "failed":
                words = f"The plugin {name} failed ({failure.words})."
            case _:
                words = f"The plugin {name} {failure.words}."
        pulse.failed(words, self._clock.now())
        if failure.kind == "unavailable":
            raise Unavailable(words, failure.retry_after_seconds)
        if failure.kind == "rejected":
            raise Rejected(words)
        log.error("a plugin failed", plugin=name, tenant=str(tenant), words=words, trace=failure.trace)
        raise PluginFault(words)

    async def _object(self, tenant: UUID, usable: _Usable, kind: type[Any], chosen: dict[str, Enabled]) -> _Made | Failure:
        """Return the tenant's object. Whoever comes while it is made waits for the same one."""
        key = (tenant, usable.info.name, kind.__name__)
        kept = self._kept.get(key)
        if kept is not None and kept.generation == usable.runner.generation:
            return kept
        if key not in self._making:
            making = self._making[key] = asyncio.create_task(self._make(tenant, usable, kind, chosen.get(usable.info.name)))
            making.add_done_callback(lambda _: self._making.pop(key))
        made = await asyncio.shield(self._making[key])
        if isinstance(made, _Made) and self._enabled.get(tenant) is chosen:  # else settings changed meanwhile: use it this once
            self._kept[key] = made
        return made

    async def _make(self, tenant: UUID, usable: _Usable, kind: type[Any], row: Enabled | None) -> _Made | Failure:
        info, core, generation = usable.info, asyncio.get_running_loop(), usable.runner.generation
        row = row or Enabled(plugin=info.name, settings=None)
        factory = next(getattr(usable.hooks, known.hook) for known in KINDS.values() if known.makes is kind)
        secrets: list[str] = []

        async def make() -> _Made:
            # on the plugin's thread from here: also its Settings and its hosts_from are foreign code
            try:
                settings = decode_settings(info, row.settings, secrets)
                entered = info.hosts_from(settings) if info.hosts_from is not None else ()
                http = PluginHttp(hosts_of(info.hosts, entered), allow_private=row.allow_private)
            except Exception as error:
                raise SettingsMisfit(failure_of(error).words) from error
            mask = Mask(secrets_in(settings))
            own_log = PluginLog(info.name, str(tenant), mask)
            context = make_context(info, settings, tenant, self._tables, core, self._clock, http, own_log)
            found = factory(context=context)
            if not isinstance(found, kind):
                raise Misfit(f"made {type(found).__name__}, which is no {kind.__name__}")
            return _Made(found, http, mask, generation)

        made = await usable.runner.call(make, QUICK_SECONDS)
        return _masked(made, Mask(secrets)) if isinstance(made, Failure) else made

    # --- all of them ---

    async def tell(self, event: CoreEvent) -> None:
        """Tell the tenant's plugins what happened; call it once the event is durable.

        What they raise is counted and ignored, what they take too long over is left behind.
        """
        tenant = UUID(event.tenant)
        chosen = await self._chosen(tenant)

        async def hear(usable: _Usable) -> None:
            async def work() -> None:
                usable.hooks.caisey_event(event=event)

            with contextlib.suppress(Unavailable, Rejected, PluginFault):
                await self._counted(tenant, usable, lambda: usable.runner.call(work, QUICK_SECONDS))

        listening = [
            one for one in self._usable.values() if one.hooks.caisey_event.get_hookimpls() and _is_on(one.info, chosen)
        ]
        await asyncio.gather(*map(hear, listening))

    def watch(self) -> None:
        """Replace the threads that give no sign of life, and report it. Call it once a second."""
        for name, usable in self._usable.items():
            if where := usable.runner.watch():
                words = f"The plugin {name} held up its thread and got a new one. It hangs in {where}."
                log.error("a plugin's thread does not answer and is replaced", plugin=name, where=where)
                for (_, plugin), pulse in self._pulses.items():
                    if plugin == name and pulse.calls:
                        pulse.troubled(words, self._clock.now())

    def health(self, tenant: UUID, plugin: str) -> Health:
        """Return how a plugin does for a tenant."""
        usable = self._usable.get(plugin)
        hangs = usable.runner.generation if usable is not None else 0
        pulse = self._pulses.get((tenant, plugin))
        return pulse.look(time.monotonic(), hangs) if pulse is not None else Health(hangs=hangs)

    def called(self) -> list[tuple[UUID, str]]:
        """Return the pairs of tenant and plugin that have a health."""
        return [pair for pair, pulse in self._pulses.items() if pulse.calls]

    async def close(self) -> None:
        """Stop all plugins' threads; one that hangs is left behind."""
        ends = [usable.runner.stop() for usable in self._usable.values()]
        late = time.monotonic() + FAREWELL_SECONDS

        def wait() -> None:
            for end in ends:
                end(max(late - time.monotonic(), 0.0))

        await asyncio.to_thread(wait)


def _is_on(info: PluginInfo, chosen: dict[str, Enabled]) -> bool:
    return info.enabled_by_default or info.name in chosen


def _masked(failure: Failure, mask: Mask) -> Failure:
    return msgspec.structs.replace(failure, words=mask(failure.words), trace=mask(failure.trace))
