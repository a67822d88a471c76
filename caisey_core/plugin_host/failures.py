"""What goes wrong in a plugin, as values that are safe to take away from its thread.

An exception of a plugin is foreign code: its `__str__` may hang, raise, or say a secret. It is put into words where it was raised.
"""

import traceback
from typing import Final, Literal

from msgspec import Struct

from caisey_hookspecs import Rejected, Unavailable

LONGEST_WORDS: Final = 500  # characters of an error's words
LONGEST_TRACE: Final = 8000
MOST_FRAMES: Final = 30
LONGEST_WISH: Final = 3600.0  # seconds that a vendor may ask for

Kind = Literal["unavailable", "rejected", "misfit", "settings", "failed", "hung"]


class PluginFault(Exception):
    """A plugin did what no plugin may: raised, hung, or gave a wrong answer. The words are for an admin."""


class Misfit(Exception):
    """An answer, or an object, that is not what the contract says."""


class SettingsMisfit(Exception):
    """Stored settings that this version of the plugin does not take."""


class Failure(Struct, frozen=True):
    """What a plugin raised, or that it did not answer. `trace` is empty where the words say all."""

    kind: Kind
    words: str
    trace: str = ""
    retry_after_seconds: float | None = None

    def raised_by(self, plugin: str) -> Unavailable | Rejected | PluginFault:
        """Return what the caller of a plugin gets to see."""
        match self.kind:
            case "unavailable":
                return Unavailable(self.words, self.retry_after_seconds)
            case "rejected":
                return Rejected(self.words)
            case "settings":
                return PluginFault(f"The plugin {plugin} does not take its settings ({self.words}).")
            case "failed":
                return PluginFault(f"The plugin {plugin} failed ({self.words}).")
            case _:
                return PluginFault(f"The plugin {plugin} {self.words}.")


def failure_of(error: BaseException) -> Failure:
    """Put what was raised into words. Call it on the plugin's thread."""
    if isinstance(error, Unavailable):
        return Failure("unavailable", _words(error), retry_after_seconds=_wish(error))
    if isinstance(error, Rejected):
        return Failure("rejected", _words(error))
    if isinstance(error, Misfit):
        return Failure("misfit", _words(error))
    if isinstance(error, SettingsMisfit):
        return Failure("settings", _words(error))
    return Failure("failed", f"{type(error).__name__}: {_words(error)}", _trace(error))


def _words(error: BaseException) -> str:
    try:
        return str(error)[:LONGEST_WORDS] or "no reason given"
    except BaseException:  # the plugin border: whatever its words are made by
        return "its words cannot be read"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, limit=-MOST_FRAMES))[-LONGEST_TRACE:]
    except BaseException:  # the plugin border
        return ""


def _wish(error: Unavailable) -> float | None:
    wish = error.retry_after_seconds
    return min(float(wish), LONGEST_WISH) if isinstance(wish, int | float) and wish >= 0 else None
