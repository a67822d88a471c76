"""Keeps a tenant's secrets out of what people read: logs, tracebacks, errors. What is masked is shown as an ellipsis."""

import json
import logging
import re
import threading
import traceback
from collections.abc import Iterable
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus
from weakref import WeakSet

from msgspec import Struct

from caisey_core.plugin_host.failures import LONGEST_TRACE
from caisey_hookspecs import Secret

SHORTEST: Final = 4  # characters: what is shorter is in every other word
SHOWN: Final = "…"


def secrets_in(settings: object) -> list[str]:
    """Return the texts of all secrets in a Struct, also in its groups and lists."""
    if isinstance(settings, Secret):
        return [settings.reveal()]
    if isinstance(settings, Struct):
        return [text for field in settings.__struct_fields__ for text in secrets_in(getattr(settings, field))]
    if isinstance(settings, list | tuple | set | frozenset):
        return [text for one in settings for text in secrets_in(one)]
    if isinstance(settings, dict):
        return [text for one in settings.values() for text in secrets_in(one)]
    return []


class Mask:
    """Replaces secrets, as they are and as JSON and addresses write them."""

    __slots__ = ("__weakref__", "_pattern")

    def __init__(self, secrets: Iterable[str]) -> None:
        written = {form for text in secrets if len(text) >= SHORTEST for form in _written(text)}
        longest_first = sorted(written, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        if longest_first:
            with _lock:
                _all.add(self)

    def __call__(self, text: str) -> str:
        """Return the text without them."""
        return text if self._pattern is None else self._pattern.sub(SHOWN, text)


_all: WeakSet[Mask] = WeakSet()
_lock = threading.Lock()
NOTHING: Final = Mask(())


def _written(text: str) -> set[str]:
    return {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        quote(text, safe=""),
        quote_plus(text),
    }


def mask_all(text: str) -> str:
    """Return a text without the secrets of any tenant whose plugins run: for lines that come from anywhere."""
    with _lock:
        masks = list(_all)
    for mask in masks:
        text = mask(text)
    return text


class PluginLog(logging.Logger):
    """A plugin's logger in one tenant. Texts are made here, on the plugin's thread, and masked before anybody else sees them."""

    def __init__(self, plugin: str, tenant: str, mask: Mask) -> None:
        super().__init__(f"caisey.plugins.{plugin}")
        self.parent = logging.getLogger("caisey.plugins")
        self._tenant, self._mask = tenant, mask

    def getChild(self, suffix: str) -> Self:  # noqa: N802  the name of the standard library
        """Return this one: a child of another kind would not mask."""
        return self

    def makeRecord(self, *args: Any, **more: Any) -> logging.LogRecord:  # noqa: N802  the name of the standard library
        """Make a record that holds nothing but a finished text."""
        record = super().makeRecord(*args, **more)
        try:
            text = record.getMessage()
        except Exception as error:  # the plugin border: its arguments do not fit, or cannot be shown
            text = f"{record.msg!s} (its arguments cannot be shown: {type(error).__name__})"
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1]))[-LONGEST_TRACE:]
        if record.stack_info:
            text += "\n" + record.stack_info
        record.msg, record.args, record.exc_info, record.stack_info = self._mask(text), None, None, None
        record.tenant = self._tenant
        return record
