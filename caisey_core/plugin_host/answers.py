"""Looks at what a plugin answered: its size, its type, its fields. All of it on the plugin's thread, so that it costs the core nothing."""

import datetime
import decimal
import inspect
import uuid
from collections.abc import Mapping
from typing import Any, Final, get_origin

import msgspec
from msgspec import Struct

from caisey_core.plugin_host.failures import Misfit

LARGEST: Final = 16 * 1024 * 1024  # characters and bytes of one answer
MOST_PARTS: Final = 100_000  # values in one answer
AS_THEY_ARE: Final = (bytes, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, uuid.UUID, decimal.Decimal)


def checked(answer: object, expected: tuple[type, ...]) -> Any:
    """Return the answer as a new value of the first expected type that it is of. Raises Misfit.

    Nothing of the plugin's own comes along: neither its subclasses nor its strings that only look like one.
    """
    no_coroutine(answer)
    wanted = next((one for one in expected if isinstance(answer, get_origin(one) or one)), None)
    if wanted is None:
        raise Misfit(f"gave {type(answer).__name__} as an answer")
    _weigh(answer)
    try:
        return msgspec.convert(msgspec.to_builtins(answer, builtin_types=AS_THEY_ARE), wanted)
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as error:
        raise Misfit(f"gave a {(get_origin(wanted) or wanted).__name__} that does not fit the contract ({error})") from error


def no_coroutine(value: object) -> None:
    """Raise Misfit for a coroutine, and close it: else Python complains that it was never awaited."""
    if inspect.iscoroutine(value):
        value.close()
        raise Misfit("gave a coroutine: an await is missing, or an async too much")


def _weigh(answer: object) -> None:
    """Go through it in Python, which lets other threads run: in C, a huge answer would stop the whole server. Raises Misfit."""
    weight, seen, left = 0, 0, [answer]
    while left:
        one = left.pop()
        seen += 1
        inside: Any = ()
        if isinstance(one, str | bytes | bytearray):
            weight += len(one)
        elif isinstance(one, Struct):
            inside = [getattr(one, field) for field in one.__struct_fields__]
        elif isinstance(one, Mapping):
            inside = (part for pair in one.items() for part in pair)
        elif isinstance(one, list | tuple | set | frozenset):
            inside = one
        for part in inside:
            left.append(part)
            if seen + len(left) > MOST_PARTS:
                raise Misfit(f"gave an answer of more than {MOST_PARTS:,} parts")
        if weight > LARGEST:
            raise Misfit(f"gave an answer of more than {LARGEST >> 20} MiB")
