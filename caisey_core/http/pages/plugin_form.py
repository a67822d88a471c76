"""A plugin's settings as the page shows them: each field with what it holds and what is wrong with it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from caisey_core.domain.refused import Wrong
from caisey_core.plugin_host.entered import MOST_ROWS, Kept, Row, as_entered
from caisey_core.plugin_host.settings import Setting

NEW_KEY: Final = "KEY"  # stands for a new row's number in the pattern of a row; the page's script replaces it


class Field(Struct, frozen=True, kw_only=True):
    """One field; `name` is that of its input."""

    setting: Setting
    name: str
    value: str = ""
    on: bool = False  # a tick; for a secret: one is stored; for a group that may be left out: it is there
    chosen: frozenset[str] = frozenset()
    complaint: str = ""
    fields: tuple["Field", ...] = ()
    rows: tuple["RowShown", ...] = ()
    pattern: "RowShown | None" = None  # of a new row


class RowShown(Struct, frozen=True):
    """One group of a list."""

    name: str  # of the list, a dot, the key
    key: str
    fields: tuple[Field, ...]


def fields(form: Sequence[Setting], entered: Mapping[str, Any], wrong: Sequence[Wrong]) -> tuple[Field, ...]:
    """Return the fields of a form."""
    return _fields(form, entered, {one.field: one.reason for one in wrong}, "", 0)


def _fields(
    form: Sequence[Setting], entered: Mapping[str, Any], said: Mapping[str, str], within: str, deep: int
) -> tuple[Field, ...]:
    return tuple(_field(one, entered.get(one.name), said, within + one.name, deep) for one in form)


def _field(setting: Setting, value: Any, said: Mapping[str, str], name: str, deep: int) -> Field:
    complaint = said.get(name, "")
    match setting.shape:
        case "group":
            inner = _fields(setting.fields, as_entered(setting.fields, {}) if value is None else value, said, f"{name}.", deep)
            return Field(setting=setting, name=name, on=value is not None, fields=inner, complaint=complaint)
        case "groups":
            rows = tuple(_row(setting, row, said, name, deep) for row in value or ())
            pattern = _row(setting, Row(f"n{NEW_KEY}{deep}", as_entered(setting.fields, {})), {}, name, deep)
            return Field(setting=setting, name=name, rows=rows, pattern=pattern, complaint=complaint)
        case "secret":
            return Field(setting=setting, name=name, on=isinstance(value, Kept), complaint=complaint)
        case "several":
            return Field(setting=setting, name=name, chosen=frozenset(value or ()), complaint=complaint)
        case "flag":
            return Field(setting=setting, name=name, on=bool(value), complaint=complaint)
    return Field(setting=setting, name=name, value=value or "", complaint=complaint)


def _row(setting: Setting, row: Row, said: Mapping[str, str], name: str, deep: int) -> RowShown:
    place = f"{name}.{row.key}"
    return RowShown(place, row.key, _fields(setting.fields, row.entered, said, f"{place}.", deep + 1))


def with_row(form: Sequence[Setting], entered: dict[str, Any], name: str, within: str = "") -> dict[str, Any]:
    """Return what a form holds with one more row in the list of this name."""
    found = dict(entered)
    for one in form:
        place, value = within + one.name, entered.get(one.name)
        if one.shape == "group" and value is not None:
            found[one.name] = with_row(one.fields, value, name, f"{place}.")
        elif one.shape == "groups":
            rows = [Row(row.key, with_row(one.fields, row.entered, name, f"{place}.{row.key}.")) for row in value or ()]
            if place == name and len(rows) < MOST_ROWS:
                taken = {row.key for row in rows}
                key = next(key for number in range(MOST_ROWS) if (key := f"n{number}") not in taken)
                rows.append(Row(key, as_entered(one.fields, {})))
            found[one.name] = rows
    return found


def without_row(form: Sequence[Setting], entered: dict[str, Any], name: str, within: str = "") -> dict[str, Any]:
    """Return what a form holds without the row of this name."""
    found = dict(entered)
    for one in form:
        place, value = within + one.name, entered.get(one.name)
        if one.shape == "group" and value is not None:
            found[one.name] = without_row(one.fields, value, name, f"{place}.")
        elif one.shape == "groups":
            kept = [row for row in value or () if f"{place}.{row.key}" != name]
            found[one.name] = [Row(row.key, without_row(one.fields, row.entered, name, f"{place}.{row.key}.")) for row in kept]
    return found
