"""What an admin entered for a plugin's settings, on its way between a form or a program and the judgement.

It is a tree: a dict for a group, a list of `Row` for a list of groups, `Kept` for a secret that stays as it is stored, and for
everything else what an input holds (a text; a list of texts for a choice of several) or, from a program, the JSON value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from caisey_core.plugin_host.settings import SEALED, Setting

MOST_ROWS: Final = 100  # of one list
KEPT: Final = "kept"  # a program names a stored secret as {"kept": "accounts.0.token"}


class Kept(Struct, frozen=True):
    """The secret that is stored at this place."""

    path: str


class Row(Struct, frozen=True):
    """One group of a list. The key is its place in what is stored, or "n" and a number for a new one."""

    key: str
    entered: dict[str, Any]


class Sent(Protocol):
    """What a browser sent, by name."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        """Return all values under a name."""
        ...


def from_form(form: Sequence[Setting], sent: Sent, within: str = "") -> dict[str, Any]:
    """Return what a browser sent. A secret that was left empty is kept, unless it is to be removed."""
    return {one.name: _sent(one, sent, within + one.name) for one in form}


def _sent(setting: Setting, sent: Sent, path: str) -> Any:
    values = [str(value) for value in sent.getall(path, [])]
    last = values[-1] if values else ""
    match setting.shape:
        case "group":
            there = not setting.nullable or bool(last)
            return from_form(setting.fields, sent, f"{path}.") if there else None
        case "groups":
            keys = [key for key in dict.fromkeys(values) if _is_key(key)][: MOST_ROWS + 1]
            return [Row(key, from_form(setting.fields, sent, f"{path}.{key}.")) for key in keys]
        case "several":
            return [value for value in values if value]
        case "flag":
            return bool(last)
        case "secret" if not last:
            return None if sent.getall(f"{path}.remove", []) else Kept(path)
    return last.replace("\r\n", "\n")


def _is_key(key: str) -> bool:
    return key.removeprefix("n").isdecimal() and key.isascii() and len(key) <= 5


def from_json(form: Sequence[Setting], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program sent; what is not there was left out. Unknown names stay, for the judgement to complain about."""
    known = {one.name: one for one in form}
    return {name: _given(known[name], value) if name in known else value for name, value in given.items()}


def _given(setting: Setting, value: Any) -> Any:
    match setting.shape:
        case "group" if isinstance(value, dict):
            return from_json(setting.fields, value)
        case "groups" if isinstance(value, list):
            rows = [from_json(setting.fields, one) if isinstance(one, dict) else one for one in value]
            return [Row(str(number), one) for number, one in enumerate(rows)]
        case "secret" if isinstance(value, dict) and isinstance(value.get(KEPT), str):
            return Kept(value[KEPT])
    return value


def as_entered(form: Sequence[Setting], stored: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Return stored settings, their secrets sealed, as a form holds them; secrets are `Kept`. What no longer fits the form is left
    empty: also a secret that is none any more in this version of the plugin."""
    return {one.name: _entered(one, stored.get(one.name, one.default), within + one.name) for one in form}


def _entered(setting: Setting, value: Any, path: str) -> Any:
    match setting.shape:
        case "group":
            group = value if isinstance(value, dict) else {}
            return None if setting.nullable and value is None else as_entered(setting.fields, group, f"{path}.")
        case "groups":
            rows = value if isinstance(value, list) else []
            made = [one if isinstance(one, dict) else {} for one in rows]
            return [Row(str(n), as_entered(setting.fields, one, f"{path}.{n}.")) for n, one in enumerate(made)]
        case "secret":
            return None if value is None else Kept(path)
        case "several":
            return [str(one) for one in value] if isinstance(value, list | tuple) else []
        case "flag":
            return value is True
        case "texts":
            return "\n".join(str(one) for one in value) if isinstance(value, list | tuple) else ""
        case "json":
            return "" if value is None else msgspec.json.format(msgspec.json.encode(_veiled(value))).decode()
    return str(value) if isinstance(value, str | int | float) else ""


def without_secrets(form: Sequence[Setting], stored: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Return stored settings, their secrets sealed, as a program reads them: in a secret's place is where it is kept.

    What was left out has its default.
    """
    found = {}
    for one in form:
        path, value = within + one.name, stored.get(one.name, one.default)
        if one.shape == "secret":
            value = None if value is None else {KEPT: path}
        elif one.shape == "group" and isinstance(value, dict):
            value = without_secrets(one.fields, value, f"{path}.")
        elif one.shape == "groups" and isinstance(value, list):
            value = [
                without_secrets(one.fields, row if isinstance(row, dict) else {}, f"{path}.{n}.") for n, row in enumerate(value)
            ]
        found[one.name] = value if one.shape == "secret" else _veiled(value)
    return found


def _veiled(value: Any) -> Any:
    """Return a value without what is sealed in it."""
    if isinstance(value, dict):
        return None if SEALED in value else {name: _veiled(inner) for name, inner in value.items()}
    return [_veiled(inner) for inner in value] if isinstance(value, list) else value


def pairs(form: Sequence[Setting], entered: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names and values that a browser sends for a form that holds this."""
    for one in form:
        path, value = within + one.name, entered.get(one.name)
        if one.shape == "groups":
            for row in value or ():
                yield path, row.key
                yield from pairs(one.fields, row.entered, f"{path}.{row.key}.")
        elif one.shape == "group" and value is not None:
            yield path, "on"
            yield from pairs(one.fields, value, f"{path}.")
        elif one.shape == "several":
            yield from ((path, text) for text in value or ())
        elif one.shape == "secret":
            if value is None:
                yield f"{path}.remove", "on"
            else:
                yield path, value if isinstance(value, str) else ""
        elif value and one.shape != "group":
            yield path, "on" if value is True else value
