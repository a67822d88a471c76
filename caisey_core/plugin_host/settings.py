"""A plugin's settings as a form: read off its Settings Struct, once, at discovery.

Whatever a Struct may hold has its place: a text, a number, a choice, a list, a group, a list of groups, a secret. What fits none of
these is written as JSON. A secret in such a place could be sealed by nobody, so a Struct that has one is refused.
"""

import enum
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct, inspect

from caisey_hookspecs import Secret

Shape = Literal["text", "lines", "secret", "integer", "number", "flag", "choice", "texts", "several", "group", "groups", "json"]
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
SEALED: Final = "$sealed"  # in stored settings, in a secret's place
DEEPEST: Final = 5  # groups within groups


class Unsuited(Exception):
    """A Settings Struct that no form can show; the words are for its author."""


class Option(Struct, frozen=True):
    """One of several: what is stored, and how it reads."""

    value: str | int
    label: str


class Setting(Struct, frozen=True, kw_only=True):
    """One field of a Settings Struct, as a form shows it. Bounds are those of its Meta; None where there is none."""

    name: str  # as it is stored
    title: str
    help: str = ""
    shape: Shape
    required: bool  # it has no default
    nullable: bool
    default: Any = None  # as JSON has it
    placeholder: str = ""
    options: tuple[Option, ...] = ()
    least: float | None = None
    most: float | None = None
    shortest: int | None = None
    longest: int | None = None
    pattern: str | None = None
    fields: tuple["Setting", ...] = ()
    type: Any = None  # of the field, for msgspec.convert

    @property
    def removable(self) -> bool:
        """Say whether it may be left out."""
        return self.nullable or not self.required


def revealed(value: Any) -> Any:
    """Return a secret's text: for what is sealed right afterwards, and nothing else (msgspec's enc_hook)."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be a setting")


def concealed(wanted: type[Any], value: Any) -> Any:
    """Make a Secret of a text (msgspec's dec_hook)."""
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise msgspec.ValidationError(f"Expected {wanted.__name__}")


def plain(value: Any) -> Any:
    """Return settings as JSON has them, secrets in clear."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=revealed)


def form_of(settings: type[Struct]) -> tuple[Setting, ...]:
    """Return the form of a Settings Struct. Raises Unsuited, and whatever a foreign type does to the inspection."""
    return _fields(settings, ())


def schema_of(settings: type[Struct]) -> bytes:
    """Return the JSON Schema of a Settings Struct. Raises whatever a foreign type does."""

    def hook(wanted: type[Any]) -> dict[str, Any]:
        if wanted is Secret:
            return {"type": "string", "format": "password", "writeOnly": True}
        raise Unsuited(f"{wanted.__name__} cannot be a setting")

    return msgspec.json.encode(msgspec.json.schema(settings, schema_hook=hook))


def _fields(kind: type[Struct], within: tuple[type, ...]) -> tuple[Setting, ...]:
    node = inspect.type_info(kind)
    assert isinstance(node, inspect.StructType)
    if node.array_like:
        raise Unsuited(f"{kind.__name__} is array_like, so that its fields have no names")
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    return tuple(_setting(field, types[field.encode_name], (*within, kind)) for field in node.fields)


def _setting(field: inspect.Field, wanted: Any, within: tuple[type, ...]) -> Setting:
    if not NAME.fullmatch(field.encode_name):
        raise Unsuited(
            f"the setting “{field.encode_name}” has other characters than letters, digits, hyphens and underscores, or begins "
            "with one of the last two"
        )
    node, words, nullable = _bare(field.type)
    more = _shape(node, wanted, within)
    shape: Shape = more.pop("shape")
    if shape == "text" and words.get("format") == "multi-line":
        shape = "lines"
    if shape == "flag" and nullable:
        shape, more["options"] = "choice", (Option(True, "Yes"), Option(False, "No"))
    if shape == "json" and _holds_secret(node):
        raise Unsuited(f"the setting “{field.encode_name}” has a Secret where no form can keep one; put it into a Struct")
    labels = words.get("labels", {})
    if options := more.get("options"):
        more["options"] = tuple(Option(one.value, str(labels.get(str(one.value), one.label))) for one in options)
    return Setting(
        name=field.encode_name,
        title=str(words.get("title") or field.name.replace("_", " ").capitalize()),
        help=str(words.get("description", "")),
        placeholder=str(next(iter(words.get("examples", ())), "")),
        shape=shape,
        required=field.required,
        nullable=nullable,
        default=None if shape == "secret" else _default(field),
        type=wanted,
        **more,
    )


def _default(field: inspect.Field) -> Any:
    if field.default is not NODEFAULT:
        return plain(field.default)
    return None if field.default_factory is NODEFAULT else plain(field.default_factory())


def _bare(node: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any], bool]:
    """Return a type without its words and without None, the words, and whether None was there."""
    words: dict[str, Any] = {}
    nullable = False
    while True:
        if isinstance(node, inspect.Metadata):
            words = {**(node.extra_json_schema or {}), **words}
            node = node.type
        elif isinstance(node, inspect.UnionType) and any(isinstance(one, inspect.NoneType) for one in node.types):
            left = tuple(one for one in node.types if not isinstance(one, inspect.NoneType))
            nullable, node = True, left[0] if len(left) == 1 else inspect.UnionType(left)
        else:
            return node, words, nullable


def _without_none(wanted: Any) -> Any:
    """The same for Python's own form of a type."""
    while True:
        if get_origin(wanted) is Annotated:
            wanted = get_args(wanted)[0]
        elif get_origin(wanted) in (Union, UnionType) and NoneType in get_args(wanted):
            left = tuple(one for one in get_args(wanted) if one is not NoneType)
            if len(left) > 1:
                return wanted
            wanted = left[0]
        else:
            return wanted


def _shape(node: inspect.Type, wanted: Any, within: tuple[type, ...]) -> dict[str, Any]:
    found: dict[str, Any]
    match node:
        case inspect.StrType():
            found = {"shape": "text", "shortest": node.min_length, "longest": node.max_length, "pattern": node.pattern}
        case inspect.CustomType() if node.cls is Secret:
            found = {"shape": "secret"}
        case inspect.BoolType():
            found = {"shape": "flag"}
        case inspect.IntType():
            found = {"shape": "integer", **_bounds(node)}
        case inspect.FloatType():
            found = {"shape": "number", **_bounds(node)}
        case inspect.LiteralType() | inspect.EnumType():
            options = _options(_without_none(wanted))
            found = {"shape": "choice", "options": options} if options else {"shape": "json"}
        case inspect.StructType() if _is_plain(node, within):
            found = {"shape": "group", "fields": _fields(node.cls, within)}
        case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
            found = {"shortest": node.min_length, "longest": node.max_length, **_items(node, wanted, within)}
        case _:
            found = {"shape": "json"}
    return found


def _items(node: Any, wanted: Any, within: tuple[type, ...]) -> dict[str, Any]:
    """A list: of groups, of choices, or of texts and numbers, one on each line."""
    item, _, nullable = _bare(node.item_type)
    ordered = isinstance(node, inspect.VarTupleType | inspect.ListType)
    if nullable:
        return {"shape": "json"}
    if isinstance(item, inspect.StrType | inspect.IntType):
        return {"shape": "texts"}
    if isinstance(item, inspect.StructType) and ordered and _is_plain(item, within):
        return {"shape": "groups", "fields": _fields(item.cls, within)}
    if isinstance(item, inspect.LiteralType | inspect.EnumType):
        options = _options(_without_none(get_args(_without_none(wanted))[0]))
        return {"shape": "several", "options": options} if options else {"shape": "json"}
    return {"shape": "json"}


def _is_plain(node: inspect.StructType, within: tuple[type, ...]) -> bool:
    return not node.array_like and node.cls not in within and len(within) < DEEPEST


def _bounds(node: inspect.IntType | inspect.FloatType) -> dict[str, Any]:
    """What a browser can be told; the exact rule is applied when the field is decoded."""
    return {"least": node.gt if node.ge is None else node.ge, "most": node.lt if node.le is None else node.le}


def _options(wanted: Any) -> tuple[Option, ...]:
    """The values in the author's order; none where two read alike, or where one is empty."""
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        found = tuple(Option(one.value, str(one.value)) for one in wanted)
    else:
        found = tuple(Option(value, str(value)) for value in get_args(wanted))
    read = [str(one.value) for one in found]
    return found if all(read) and len(set(read)) == len(read) else ()


def _holds_secret(node: inspect.Type, seen: tuple[type, ...] = ()) -> bool:
    if isinstance(node, inspect.CustomType):
        return node.cls is Secret
    if isinstance(node, inspect.StructType):
        return node.cls not in seen and any(_holds_secret(field.type, (*seen, node.cls)) for field in node.fields)
    inner = [getattr(node, name, None) for name in ("type", "item_type", "key_type", "value_type")]
    inner += [*getattr(node, "types", ()), *getattr(node, "item_types", ())]
    return any(_holds_secret(one, seen) for one in inner if isinstance(one, inspect.Type))
