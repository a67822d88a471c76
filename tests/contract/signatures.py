"""Writes the contract's signatures, one a line: `python tests/contract/signatures.py` makes signatures.txt anew."""

import inspect
import re
from pathlib import Path
from typing import Any, TypeVar

from documented import classes, hooks, methods
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

import caisey_hookspecs

HERE = Path(__file__).parent / "signatures.txt"


def _type(hint: Any) -> str:
    """Return an annotation without the modules that its names live in."""
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return re.sub(r"~|\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)


def _struct(name: str, one: type[Struct]) -> list[str]:
    lines = []
    for field in fields(one):
        default = ""
        if field.default is not NODEFAULT:
            default = f" = {field.default.__name__ if isinstance(field.default, type) else repr(field.default)}"
        elif field.default_factory is not NODEFAULT:
            default = " = …"
        lines.append(f"{name}.{field.name}: {_type(field.type)}{default}")
    return lines


def _function(name: str, function: Any) -> str:
    kind = "async " if inspect.iscoroutinefunction(function) else ""
    abstract = " (abstract)" if getattr(function, "__isabstractmethod__", False) else ""
    signature = inspect.signature(function)
    plain = signature.replace(
        parameters=[one.replace(annotation=_Named(one.annotation)) for one in signature.parameters.values()],
        return_annotation=_Named(signature.return_annotation),
    )
    return f"{kind}{name}{plain}{abstract}"


class _Named:
    """An annotation that is shown by its plain name."""

    def __new__(cls, hint: Any) -> Any:
        return hint if hint is inspect.Signature.empty else super().__new__(cls)

    def __init__(self, hint: Any) -> None:
        self._hint = hint

    def __repr__(self) -> str:
        return _type(self._hint)


def signatures() -> str:
    """Return all of the contract that a plugin can depend on."""
    lines = []
    for name, hook in sorted(hooks().items()):
        lines.append(_function(f"hook {name}", hook))
    for name, one in sorted(classes().items()):
        bases = ", ".join(base.__name__ for base in one.__mro__[1:] if base.__module__.startswith("caisey_hookspecs"))
        lines.append(f"class {name}({bases})" if bases else f"class {name}")
        if issubclass(one, Struct):
            plain = [p.name for p in inspect.signature(one).parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
            lines[-1] += f" by position: {', '.join(plain)}" if plain else ""
            lines += _struct(name, one)
        elif one is caisey_hookspecs.Context:
            lines += [f"{name}.{field}: {_type(hint)}" for field, hint in one.__annotations__.items()]
        if issubclass(one, Exception):
            lines.append(_function(f"{name}", one.__init__))
        lines += [_function(f"{name}.{method}", found) for method, found in methods(one)]
    for name in sorted(caisey_hookspecs.__all__):
        found = getattr(caisey_hookspecs, name)
        if not inspect.isclass(found) and not inspect.isfunction(found) and not isinstance(found, TypeVar):
            lines.append(f"{name} = {_type(found) if hasattr(found, '__args__') else type(found).__name__}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    HERE.write_text(signatures())
    print(f"Wrote {HERE}. Read its difference as a plugin's author would.")
