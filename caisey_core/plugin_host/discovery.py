"""Finds installed plugins: each entry point of the group `caisey.plugins` by itself, so that a broken one harms no other."""

import re
import threading
import traceback
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, get_origin

import msgspec
import pluggy
from msgspec import Struct

from caisey_core.plugin_host.reach import Hosts
from caisey_hookspecs import Identity, Notifier, PluginInfo, Rejected, Shell, identity, notifier, plugin, shell

GROUP: Final = "caisey.plugins"
OK: Final = "ok"
IMPORT_SECONDS: Final = 10.0
NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class KindOfPlugin(Struct, frozen=True):
    """The hook that makes a tenant's object of a kind, and the class of that object."""

    hook: str
    makes: type[Any]


KINDS: Final = {
    "identity": KindOfPlugin("caisey_identity", Identity),
    "shell": KindOfPlugin("caisey_shell", Shell),
    "notifier": KindOfPlugin("caisey_notifier", Notifier),
}


class Installed(Struct, frozen=True):
    """One entry point. `info` and `hooks` are None where the plugin cannot be used; `verdict` says why, `trouble` holds the
    traceback if there is one."""

    entry_point: str
    distribution: str
    info: PluginInfo | None
    hooks: pluggy.HookRelay | None  # of a plugin manager that knows this plugin only
    verdict: str
    trouble: str = ""


class _Broken(Exception):
    """Why a plugin cannot be used."""


def discover() -> list[Installed]:
    """Return all installed plugins by name, usable or not. Imports each; raises nothing that a plugin raises.

    Of two plugins with one name the first on `sys.path` is used.
    """
    found: list[Installed] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        other = next((one for one in found if one.entry_point == entry.name), None)
        if other is None:
            found.append(_examine(entry))
        else:
            words = f"it has the same name as the plugin in {other.distribution}; uninstall one of them"
            found.append(_unusable(entry, words))
    return found


def _unusable(entry: EntryPoint, words: str, trouble: str = "") -> Installed:
    return Installed(entry.name, _distribution(entry), None, None, f"broken: {words}", trouble)


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "unknown"


def _examine(entry: EntryPoint) -> Installed:
    """Import and check a plugin on a thread of its own: importing may hang, or end its thread."""
    result: list[Installed] = []

    def look() -> None:
        try:
            info, hooks = _load(entry)
            result.append(Installed(entry.name, _distribution(entry), info, hooks, OK))
        except _Broken as error:
            result.append(_unusable(entry, str(error), traceback.format_exc() if error.__cause__ is not None else ""))
        except BaseException as error:  # the plugin border: its code ran, and may have called exit()
            words = f"it cannot be imported ({type(error).__name__}: {error})"
            result.append(_unusable(entry, words, traceback.format_exc()))

    thread = threading.Thread(target=look, name=f"import of plugin {entry.name}", daemon=True)
    thread.start()
    thread.join(IMPORT_SECONDS)
    return result[0] if result else _unusable(entry, f"its import does not end within {IMPORT_SECONDS:g} s")


def _load(entry: EntryPoint) -> tuple[PluginInfo, pluggy.HookRelay]:
    loaded = entry.load()
    manager = pluggy.PluginManager("caisey")
    for specification in (plugin, identity, notifier, shell):
        manager.add_hookspecs(specification)
    try:
        manager.register(loaded, entry.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _Broken(f"its hooks do not fit the contract ({' '.join(str(error).split())})") from error
    info = manager.hook.caisey_plugin()
    if not isinstance(info, PluginInfo):
        raise _Broken("it has no caisey_plugin hook that returns a PluginInfo")
    _check(info, entry.name, manager.hook)
    return info, manager.hook


def _check(info: PluginInfo, name: str, hooks: pluggy.HookRelay) -> None:
    try:
        given = {field: getattr(info, field) for field in info.__struct_fields__}
        msgspec.convert(given, PluginInfo, dec_hook=_as_it_is)  # a Struct does not check what it is made of
    except msgspec.ValidationError as error:
        raise _Broken(f"its PluginInfo does not fit the contract ({error})") from error
    if info.name != name:
        raise _Broken(f"it calls itself “{info.name}”, its entry point “{name}”")
    if not NAME.fullmatch(name):
        raise _Broken("its name has other characters than lower-case letters, digits and hyphens")
    if not info.kinds:
        raise _Broken("it names no kind")
    for kind in info.kinds:
        if kind not in KINDS:
            raise _Broken(f"this version of Caisey cannot use plugins of the kind “{kind}”")
        if not getattr(hooks, KINDS[kind].hook).get_hookimpls():
            raise _Broken(f"it says that it is of the kind “{kind}” but lacks the hook {KINDS[kind].hook}")
    try:
        Hosts(info.hosts)
    except Rejected as error:
        raise _Broken(f"it declares a host that is none ({error})") from error
    try:
        msgspec.inspect.type_info(info.settings)
    except Exception as error:  # the plugin border: whatever a foreign type does to the inspection
        raise _Broken(f"its settings cannot be read ({error})") from error


def _as_it_is(wanted: Any, value: Any) -> Any:
    if get_origin(wanted) is Callable:
        if callable(value):
            return value
        raise msgspec.ValidationError(f"Expected a function, got {value!r}")
    if isinstance(value, type) and issubclass(value, Struct):
        return value
    raise msgspec.ValidationError(f"Expected a Struct type, got {value!r}")
