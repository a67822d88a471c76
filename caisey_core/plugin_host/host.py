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

import structlog
from msgspec.structs import replace

from caisey_core.catalogue.outcomes import CatalogueUnavailable
from caisey_core.catalogue.plugin_store import PluginStore
from caisey_core.plugin_host.answers import checked, no_coroutine
from caisey_core.plugin_host.choices import Choices, Opened, TenantChoices
from caisey_core.plugin_host.context import SystemClock, decode_settings, make_context
from caisey_core.plugin_host.discovery import Installed, discover
from caisey_core.plugin_host.failures import Failure, Misfit, SettingsMisfit, failure_of
from caisey_core.plugin_host.failures import PluginFault as PluginFault
from caisey_core.plugin_host.health import Health, Pulse
from caisey_core.plugin_host.http import PluginHttp
from caisey_core.plugin_host.masking import Mask, PluginLog, secrets_in
from caisey_core.plugin_host.reach import hosts_of
from caisey_core.plugin_host.reports import Heard, TenantReporter, nobody
from caisey_core.plugin_host.runner import Runner
from caisey_hookspecs import Check, Clock, CoreEvent, PluginInfo, Rejected, TenantObject, Unavailable
from caisey_hookspecs.declaration import KINDS

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.plugins")
T = TypeVar("T")
R = TypeVar("R")

CHECK_SECONDS: Final = 10.0  # for trying settings
QUICK_SECONDS: Final = 1.0  # for making an object, and for hearing an event
FAREWELL_SECONDS: Final = 2.0  # for all plugins' threads to end when the server stops
RETRY_PAUSES: Final = (0.2, 0.8)  # seconds between the tries of a call that only reads


@dataclass(frozen=True, slots=True)
class _Usable:
    info: PluginInfo
    hooks: Any  # pluggy's relay of this plugin
    runner: Runner
    needs_settings: bool

    def is_on(self, chosen: TenantChoices) -> bool:
        """Say whether a tenant uses it: enabled there with settings that can be read, or a built-in that needs none."""
        row = chosen.plugins.get(self.info.name)
        if row is None:
            return self.info.enabled_by_default and not self.needs_settings
        return row.enabled and not row.trouble


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

    def __init__(
        self, tables: PluginStore, choices: Choices, clock: Clock | None = None, installed: list[Installed] | None = None
    ) -> None:
        self._tables, self.choices = tables, choices
        self._clock = clock or SystemClock()
        self.heard: Heard = nobody  # takes what plugins report
        self.installed: dict[str, Installed] = {}
        for one in discover() if installed is None else installed:
            taken = one.entry_point in self.installed
            self.installed[f"{one.entry_point} ({one.distribution})" if taken else one.entry_point] = one
        self._usable = {
            name: _Usable(one.info, one.hooks, Runner(name), one.needs_settings)
            for name, one in self.installed.items()
            if one.info is not None and one.hooks is not None
        }
        self._kept: dict[tuple[UUID, str, str], _Made] = {}
        self._making: dict[tuple[UUID, str, str], asyncio.Task[_Made | Failure]] = {}
        self._enabled: dict[UUID, TenantChoices] = {}
        self._pulses: defaultdict[tuple[UUID, str], Pulse] = defaultdict(Pulse)

    # --- what a tenant chose ---

    def title(self, plugin: str) -> str:
        """Return a plugin's title, or its name where it cannot be used."""
        usable = self._usable.get(plugin)
        return usable.info.title if usable is not None else plugin

    def first_kind(self, plugin: str) -> type[TenantObject]:
        """Return the class of the object that answers requests from outside. Raises PluginFault for a plugin that cannot be used."""
        made: type[TenantObject] = KINDS[self._usable_one(plugin).info.kinds[0]].makes
        return made

    def _usable_one(self, plugin: str) -> _Usable:
        if (usable := self._usable.get(plugin)) is None:
            raise PluginFault(f"The plugin {plugin} is not installed, or is broken.")
        return usable

    async def is_enabled(self, tenant: UUID, plugin: str) -> bool:
        """Say whether a tenant uses this plugin."""
        usable = self._usable.get(plugin)
        return usable is not None and usable.is_on(await self.chosen(tenant))

    async def enabled(self, tenant: UUID, kind: str) -> list[str]:
        """Return the tenant's plugins of a kind, its default first: what was enabled, and built-ins that need no settings."""
        chosen = await self.chosen(tenant)
        found = [name for name, usable in self._usable.items() if kind in usable.info.kinds and usable.is_on(chosen)]
        return sorted(found, key=lambda name: name != chosen.defaults.get(kind))

    async def chosen(self, tenant: UUID) -> TenantChoices:
        """Return what a tenant chose, as this server knows it."""
        if tenant not in self._enabled:
            self._enabled[tenant] = await self._load(tenant)
        return self._enabled[tenant]

    async def _load(self, tenant: UUID) -> TenantChoices:
        found = await self.choices.of(tenant)
        plugins = await asyncio.gather(*(self._tried(choice) for choice in found.plugins.values()))
        return replace(found, plugins={choice.plugin: choice for choice in plugins})

    async def _tried(self, choice: Opened) -> Opened:
        """Say of a choice whether its settings still fit the plugin that is installed now."""
        usable = self._usable.get(choice.plugin)
        if usable is None or choice.trouble or not choice.enabled:
            return choice
        secrets: list[str] = []

        async def decode() -> None:
            _prepared(usable.info, choice, secrets)

        said = await usable.runner.call(decode, QUICK_SECONDS)
        if not isinstance(said, Failure) or said.kind != "settings":
            return choice  # whatever else it did, the next call tells
        words = Mask(secrets)(said.words)
        return replace(choice, trouble=f"What is stored does not fit this version of the plugin: {words}.")

    async def changed(self, tenant: UUID) -> None:
        """Take up what a tenant's admin changed, here or at another server: objects with other settings are made anew."""
        before = self._enabled.get(tenant)
        after = self._enabled[tenant] = await self._load(tenant)
        for name, usable in self._usable.items():
            if before is not None and before.plugins.get(name) == after.plugins.get(name):
                continue
            if (pulse := self._pulses.get((tenant, name))) is not None:
                pulse.renewed()
            for key in [key for key in self._kept if key[:2] == (tenant, name)]:
                usable.runner.soon(self._kept.pop(key).http.close)

    async def refresh(self) -> None:
        """Look for changes that another server of this database made; call it once a second."""
        try:
            versions = await self.choices.versions()
            for tenant, chosen in list(self._enabled.items()):
                if versions.get(tenant, 0) != chosen.version:
                    await self.changed(tenant)
        except CatalogueUnavailable:
            return  # whoever waits for the database is told by the page that they wanted

    # --- before it is chosen ---

    async def run(self, plugin: str, work: Callable[[], R]) -> R:
        """Run a piece of a plugin's own code that ends at once, on its thread. Raises PluginFault."""

        async def there() -> R:
            return work()

        said = await self._usable_one(plugin).runner.call(there, QUICK_SECONDS)
        if isinstance(said, Failure):
            raise PluginFault(str(said.raised_by(plugin)))
        return said

    async def check(self, tenant: UUID, plugin: str, settings: bytes, *, allow_private: bool) -> Check:
        """Try settings (JSON, secrets in clear) that are not stored, with objects that live for this only.

        Raises Unavailable and Rejected as the plugin raised them, PluginFault for everything else. Of a plugin of several kinds
        the first answer that is not good counts.
        """
        usable = self._usable_one(plugin)
        choice = Opened(plugin, settings=settings, allow_private=allow_private)
        said = ""
        for kind in usable.info.kinds:
            made = await self._make(tenant, usable, KINDS[kind].makes, choice)
            if isinstance(made, Failure):
                raise made.raised_by(plugin)
            answer = await self._ask(usable, made, lambda found: found.check(), (Check,), CHECK_SECONDS)
            usable.runner.soon(made.http.close)
            if isinstance(answer, Failure):
                raise answer.raised_by(plugin)
            if not answer.ok:
                return Check(False, made.mask(answer.message))
            said = said or made.mask(answer.message)
        return Check(True, said)

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
        usable, chosen = self._usable_one(plugin), await self.chosen(tenant)
        if not usable.is_on(chosen):
            row = chosen.plugins.get(plugin)
            trouble = row.trouble if row is not None and row.enabled else ""
            raise PluginFault(
                f"The plugin {plugin} is off here. {trouble}" if trouble else f"The plugin {plugin} is not enabled."
            )
        expected = expect if isinstance(expect, tuple) else (expect,)
        end = time.monotonic() + limit_seconds

        async def once() -> Any:
            made = await self._object(tenant, usable, kind, chosen)
            if isinstance(made, Failure):
                return made
            return await self._ask(usable, made, method, expected, max(end - time.monotonic(), 0.0))

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

    @staticmethod
    async def _ask(
        usable: _Usable,
        made: _Made,
        method: Callable[[Any], Coroutine[Any, Any, Any]],
        expected: tuple[type, ...],
        limit_seconds: float,
    ) -> Any:
        """Return what an object answers, checked, or a Failure."""

        async def work() -> Any:
            return checked(await method(made.found), expected)

        answer = await usable.runner.call(work, limit_seconds)
        return _masked(answer, made.mask) if isinstance(answer, Failure) else answer

    async def _counted(
        self, tenant: UUID, usable: _Usable, work: Callable[[], Coroutine[Any, Any, Any]], *, steady: bool = False
    ) -> Any:
        """Do it unless the plugin rests here, count it, and raise in the caller's terms what failed. Steady: never rests for it."""
        name, pulse, began = usable.info.name, self._pulses[tenant, usable.info.name], time.monotonic()
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
        if answer.kind == "rejected":  # it answers: a person has to change something
            pulse.breaker.worked()
        elif steady:
            pulse.breaker.left()
        else:
            pulse.breaker.failed(time.monotonic(), answer.retry_after_seconds)
        told = answer.raised_by(name)
        pulse.failed(str(told), self._clock.now())
        if isinstance(told, PluginFault):
            log.error("a plugin failed", plugin=name, tenant=str(tenant), words=str(told), trace=answer.trace)
        raise told

    async def _object(self, tenant: UUID, usable: _Usable, kind: type[Any], chosen: TenantChoices) -> _Made | Failure:
        """Return the tenant's object. Whoever comes while it is made waits for the same one."""
        key = (tenant, usable.info.name, kind.__name__)
        kept = self._kept.get(key)
        if kept is not None and kept.generation == usable.runner.generation:
            return kept
        if key not in self._making:
            choice = chosen.plugins.get(usable.info.name) or Opened(usable.info.name)
            making = self._making[key] = asyncio.create_task(self._make(tenant, usable, kind, choice))
            making.add_done_callback(lambda _: self._making.pop(key))
        made = await asyncio.shield(self._making[key])
        if isinstance(made, _Made) and self._enabled.get(tenant) is chosen:  # else settings changed meanwhile: use it this once
            self._kept[key] = made
        return made

    async def _make(self, tenant: UUID, usable: _Usable, kind: type[Any], choice: Opened) -> _Made | Failure:
        info, core, generation = usable.info, asyncio.get_running_loop(), usable.runner.generation
        factory = next(getattr(usable.hooks, known.hook) for known in KINDS.values() if known.makes is kind)
        secrets: list[str] = []

        async def make() -> _Made:
            settings, http = _prepared(info, choice, secrets)
            mask = Mask(secrets_in(settings))
            report = TenantReporter(self.heard, core, tenant, info.name)
            own_log = PluginLog(info.name, str(tenant), mask)
            context = make_context(info, settings, tenant, self._tables, self.choices, core, self._clock, http, own_log, report)
            found = factory(context=context)
            no_coroutine(found)
            if not isinstance(found, kind):
                raise Misfit(f"made {type(found).__name__}, which is no {kind.__name__}")
            return _Made(found, http, mask, generation)

        made = await usable.runner.call(make, QUICK_SECONDS)
        return _masked(made, Mask(secrets)) if isinstance(made, Failure) else made

    # --- all of them ---

    @property
    def anybody_listens(self) -> bool:
        """Say whether any installed plugin hears events at all."""
        return any(one.hooks.caisey_event.get_hookimpls() for one in self._usable.values())

    async def tell(self, event: CoreEvent) -> None:
        """Tell the tenant's plugins what happened; call it once the event is durable.

        What they raise is counted and ignored, what they take too long over is left behind.
        """
        tenant = UUID(event.tenant)
        chosen = await self.chosen(tenant)

        async def hear(usable: _Usable) -> None:
            async def work() -> None:
                usable.hooks.caisey_event(event=event)

            with contextlib.suppress(Unavailable, Rejected, PluginFault):
                await self._counted(tenant, usable, lambda: usable.runner.call(work, QUICK_SECONDS))

        listening = [one for one in self._usable.values() if one.is_on(chosen) and one.hooks.caisey_event.get_hookimpls()]
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
        usable, chosen = self._usable.get(plugin), self._enabled.get(tenant)
        row = chosen.plugins.get(plugin) if chosen is not None else None
        off = row.trouble if row is not None and row.enabled else ""
        hangs = usable.runner.generation if usable is not None else 0
        return (self._pulses.get((tenant, plugin)) or Pulse()).look(time.monotonic(), hangs, off)

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


def _prepared(info: PluginInfo, choice: Opened, seen: list[str]) -> tuple[Any, PluginHttp]:
    """Return settings and HTTP of a choice; `seen` gets the secrets, also where it fails. Raises SettingsMisfit.

    On the plugin's thread: its Settings and its hosts_from are foreign code.
    """
    try:
        settings = decode_settings(info, choice.settings, seen)
        entered = info.hosts_from(settings) if info.hosts_from is not None else ()
        return settings, PluginHttp(hosts_of(info.hosts, entered), allow_private=choice.allow_private)
    except Exception as error:
        raise SettingsMisfit(failure_of(error).words) from error


def _masked(failure: Failure, mask: Mask) -> Failure:
    return replace(failure, words=mask(failure.words), trace=mask(failure.trace))
