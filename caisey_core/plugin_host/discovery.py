"""Finds installed plugins: each entry point of the group `caisey.plugins` by itself, so that a broken one harms no other."""

import inspect
import threading
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, distributions, version
from typing import Final

import pluggy
import structlog
from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import caisey_hookspecs
from caisey_core.plugin_host.failures import failure_of
from caisey_core.plugin_host.reach import Hosts
from caisey_core.plugin_host.runner import interrupt
from caisey_core.plugin_host.settings import Setting, form_of, schema_of
from caisey_hookspecs import PluginInfo, Rejected
from caisey_hookspecs.declaration import GROUP, OTHER_VERSION, Misfit, checked, register

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.plugins")

OK: Final = "ok"
IMPORT_SECONDS: Final = 10.0


class Installed(Struct, frozen=True):
    """One entry point. `info` and `hooks` are None where the plugin cannot be used; `verdict` says why, `trouble` holds the
    traceback if there is one."""

    entry_point: str
    distribution: str
    info: PluginInfo | None
    hooks: pluggy.HookRelay | None  # of a plugin manager that knows this plugin only
    verdict: str
    trouble: str = ""
    form: tuple[Setting, ...] = ()  # of its settings
    schema: bytes = b"{}"  # of its settings, in JSON

    @property
    def needs_settings(self) -> bool:
        """Say whether it can do nothing before somebody entered its settings."""
        return any(one.required for one in self.form)


def discover() -> list[Installed]:
    """Return all installed plugins by name, usable or not. Imports each; raises nothing that a plugin raises.

    Of two plugins with one name that of the distribution `caisey-NAME` is used, else the first by the distribution's name.
    """
    found: dict[str, Installed] = {}
    again: list[Installed] = []
    for entry in sorted(_entries(), key=_order):
        if isinstance(entry, Installed):
            again.append(entry)
        elif entry.name not in found:
            found[entry.name] = _examine(entry)
        else:
            words = f"it has the same name as the plugin in {found[entry.name].distribution}; uninstall one of them"
            again.append(_unusable(entry, words))
    return sorted([*found.values(), *again], key=lambda one: one.entry_point)


def _entries() -> Iterator[EntryPoint | Installed]:
    """Yield the entry points, one distribution after the other: metadata that cannot be read must not hide all the rest."""
    seen: set[str] = set()
    for distribution in distributions():
        try:
            name = str(distribution.metadata["Name"])
            entries = distribution.entry_points.select(group=GROUP) if name not in seen else ()
        except Exception as error:
            if _mentions_us(distribution):
                name = str(getattr(distribution, "_path", "unknown")).rpartition("/")[2]
                yield Installed(name, name, None, None, f"broken: its metadata cannot be read ({failure_of(error).words})")
            continue
        seen.add(name)  # of one that is installed twice the first on sys.path counts
        yield from entries


def _mentions_us(distribution: Distribution) -> bool:
    try:
        return GROUP in (distribution.read_text("entry_points.txt") or "")
    except (OSError, ValueError):
        return False


def _order(entry: EntryPoint | Installed) -> tuple[str, bool, str]:
    if isinstance(entry, Installed):
        return entry.entry_point, True, entry.distribution
    distribution = _distribution(entry).partition(" ")[0]
    return entry.name, distribution != f"caisey-{entry.name}", distribution


def _unusable(entry: EntryPoint, words: str, trouble: str = "") -> Installed:
    return Installed(entry.name, _distribution(entry), None, None, f"broken: {words}", trouble)


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "unknown"


def _examine(entry: EntryPoint) -> Installed:
    """Import and check a plugin on a thread of its own: importing may hang, or end its thread."""
    result: list[Installed] = []

    def look() -> None:
        try:
            result.append(_load(entry))
        except Misfit as error:
            result.append(_unusable(entry, str(error), failure_of(error).trace if error.__cause__ is not None else ""))
        except BaseException as error:  # the plugin border: its code ran, and may have called exit()
            failure = failure_of(error)
            words = f"it cannot be imported ({failure.words})"
            if isinstance(error, ImportError) and str(error.name).partition(".")[0] == caisey_hookspecs.__name__:
                words = f"it wants more of the contract than this Caisey has ({failure.words}): {OTHER_VERSION}"
            result.append(_unusable(entry, words, failure.trace))

    thread = threading.Thread(target=look, name=f"import of plugin {entry.name}", daemon=True)
    thread.start()
    thread.join(IMPORT_SECONDS)
    if result:
        return result[0]
    interrupt(thread)
    return _unusable(entry, f"its import does not end within {IMPORT_SECONDS:g} s")


def _load(entry: EntryPoint) -> Installed:
    _look_at_requirements(entry)
    loaded = entry.load()
    registered = register(loaded, entry.name)
    for words in registered.deprecated:
        log.warning("a plugin uses what will go", plugin=entry.name, words=words)
    try:
        told = registered.hooks.caisey_plugin()
    except Exception as error:
        raise Misfit(f"its caisey_plugin fails ({failure_of(error).words})") from error
    if inspect.iscoroutine(told):
        told.close()
        raise Misfit("its caisey_plugin is a coroutine: leave out the async")
    if not isinstance(told, PluginInfo):
        raise Misfit("it has no caisey_plugin hook that returns a PluginInfo")
    info = _checked(told, entry.name, registered.hooks)
    try:
        form, schema = form_of(info.settings), schema_of(info.settings)
    except Exception as error:  # the plugin border: whatever a foreign type does to the inspection
        raise Misfit(f"its settings cannot be read ({failure_of(error).words})") from error
    return Installed(entry.name, _distribution(entry), info, registered.hooks, OK, form=form, schema=schema)


def _look_at_requirements(entry: EntryPoint) -> None:
    """Hold what the distribution wants of the contract against what is installed: pip may have been told not to."""
    have = version("caisey-hookspecs")
    for text in (entry.dist.requires or []) if entry.dist is not None else []:
        wanted = Requirement(text)
        applies = wanted.marker is None or wanted.marker.evaluate()
        if canonicalize_name(wanted.name) == "caisey-hookspecs" and applies and not wanted.specifier.contains(have, True):
            raise Misfit(f"it needs caisey-hookspecs {wanted.specifier}, and {have} is installed: {OTHER_VERSION}")


def _checked(told: PluginInfo, name: str, hooks: pluggy.HookRelay) -> PluginInfo:
    info = checked(told, name, hooks)
    try:
        Hosts(info.hosts)
    except Rejected as error:
        raise Misfit(f"it declares a host that is none ({error})") from error
    return info
