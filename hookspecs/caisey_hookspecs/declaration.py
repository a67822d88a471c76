"""How a plugin is declared, and what is wrong with a declaration: the same rules for the server and for the test kit."""

import re
import warnings
from collections.abc import Callable
from typing import Any, Final, get_origin

import msgspec
import pluggy
from msgspec import Struct

from caisey_hookspecs import identity, notifier, plugin, shell, ticketing
from caisey_hookspecs.plugin import CONTRACT, PluginInfo

GROUP: Final = "caisey.plugins"
ENDPOINT_GROUP: Final = "caisey.endpoint"
OLDEST_CONTRACT: Final = 1  # that still works
OTHER_VERSION: Final = "install another version of the plugin, or of Caisey"
NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SPECIFICATIONS: Final = (plugin, identity, ticketing, shell, notifier)


class KindOfPlugin(Struct, frozen=True):
    """The hook that makes a tenant's object of a kind, and the class of that object."""

    hook: str
    makes: type[Any]


KINDS: Final = {
    "identity": KindOfPlugin("caisey_identity", identity.Identity),
    "ticketing": KindOfPlugin("caisey_ticketing", ticketing.Ticketing),
    "shell": KindOfPlugin("caisey_shell", shell.Shell),
    "notifier": KindOfPlugin("caisey_notifier", notifier.Notifier),
}


class Misfit(Exception):
    """Why a plugin cannot be used, as words that go on after its name."""


class Registered(Struct, frozen=True):
    """A plugin whose hooks fit."""

    hooks: pluggy.HookRelay  # of a plugin manager that knows this plugin only
    deprecated: tuple[str, ...]  # words about hooks that it has and that will go


def register(loaded: object, name: str) -> Registered:
    """Register what an entry point of this name led to. Raises Misfit where a hook is none or has other parameters."""
    manager = pluggy.PluginManager("caisey")
    for specification in SPECIFICATIONS:
        manager.add_hookspecs(specification)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            manager.register(loaded, name)
            manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise Misfit(f"its hooks do not fit the contract ({' '.join(str(error).split())})") from error
    return Registered(manager.hook, tuple(str(one.message) for one in warned if one.category is DeprecationWarning))


def checked(told: PluginInfo, name: str, hooks: pluggy.HookRelay) -> PluginInfo:
    """Return a visiting card that holds. Raises Misfit."""
    try:
        given = {field: getattr(told, field) for field in PluginInfo.__struct_fields__}
        info = msgspec.convert(given, PluginInfo, dec_hook=_as_it_is)  # a Struct does not check what it is made of
    except (msgspec.ValidationError, AttributeError) as error:
        raise Misfit(f"its PluginInfo does not fit the contract ({error})") from error
    if not OLDEST_CONTRACT <= info.contract <= CONTRACT:
        raise Misfit(f"it needs version {info.contract} of the contract, and this Caisey has {CONTRACT}: {OTHER_VERSION}")
    if info.name != name:
        raise Misfit(f"it calls itself “{info.name}”, its entry point “{name}”")
    if not NAME.fullmatch(name):
        raise Misfit("its name has other characters than lower-case letters, digits and hyphens")
    if not info.kinds:
        raise Misfit("it names no kind")
    for kind in info.kinds:
        if kind not in KINDS:
            raise Misfit(f"this version of Caisey cannot use plugins of the kind “{kind}”")
        if not getattr(hooks, KINDS[kind].hook).get_hookimpls():
            raise Misfit(f"it says that it is of the kind “{kind}” but lacks the hook {KINDS[kind].hook}")
    return info


def _as_it_is(wanted: Any, value: Any) -> Any:
    if get_origin(wanted) is Callable:
        if callable(value):
            return value
        raise msgspec.ValidationError(f"Expected a function, got {value!r}")
    if isinstance(value, type) and issubclass(value, Struct):
        return value
    raise msgspec.ValidationError(f"Expected a Struct type, got {value!r}")
