"""Reads what the contract says of itself: hooks, classes and methods, and the sections of their docstrings."""

import inspect
import re
import textwrap
from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

import caisey_hookspecs
from caisey_hookspecs.declaration import SPECIFICATIONS

LABEL = re.compile(r"(Called|Thread|Limit|Raises|Example): ?(.*)")
FIELD = re.compile(r"    (\w+): [^#]*(?:# (.*))?")


@dataclass
class Said:
    """One hook, class or method: its words, and the sections after them."""

    name: str
    words: str
    sections: dict[str, str] = field(default_factory=dict)


def said_by(name: str, thing: Any) -> Said:
    """Read a docstring. A section is a label with words on its line and on the indented lines after it."""
    words, sections, label = list[str](), dict[str, list[str]](), ""
    for line in inspect.cleandoc(thing.__doc__ or "").splitlines():
        found = LABEL.fullmatch(line)
        if found is not None:
            label = found.group(1)
            sections[label] = [found.group(2)]
        elif label and (line.startswith("    ") or not line):
            sections[label].append(line)
        else:
            label = ""
            words.append(line)
    return Said(name, "\n".join(words).strip(), {label: _text(lines) for label, lines in sections.items()})


def _text(lines: list[str]) -> str:
    return f"{lines[0]}\n{textwrap.dedent(chr(10).join(lines[1:]))}".strip()


def hooks() -> dict[str, Any]:
    """Return all hooks by name."""
    return {
        name: found
        for module in SPECIFICATIONS
        for name, found in vars(module).items()
        if inspect.isfunction(found) and hasattr(found, "caisey_spec")
    }


def classes() -> dict[str, type[Any]]:
    """Return all classes that an author can import."""
    found = {name: getattr(caisey_hookspecs, name) for name in caisey_hookspecs.__all__}
    return {name: one for name, one in found.items() if inspect.isclass(one)}


def is_given(one: type[Any]) -> bool:
    """Say whether the core makes it and an author calls its methods."""
    return bool(getattr(one, "_is_protocol", False)) or one is caisey_hookspecs.Secret


def is_written(one: type[Any]) -> bool:
    """Say whether an author writes its methods and the core, or the agent, calls them."""
    return not is_given(one) and (issubclass(one, ABC) or one is caisey_hookspecs.TenantObject)


def methods(one: type[Any]) -> Iterator[tuple[str, Any]]:
    """Yield a class's own public methods."""
    for name, found in vars(one).items():
        if inspect.isfunction(found) and (not name.startswith("_") or (name == "__call__" and is_given(one))):
            yield name, found


def fields(one: type[Any]) -> Iterator[tuple[str, str]]:
    """Yield a Struct's own fields, each with the comment on its line."""
    for line in inspect.getsource(one).splitlines() if issubclass(one, Struct) else ():
        found = FIELD.fullmatch(line)
        if found is not None and found.group(1) in one.__struct_fields__:
            yield found.group(1), found.group(2) or ""
