"""An author reads the contract and nothing else: each hook and method says what it is asked, when, where, in what time and with
what errors, and shows it."""

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from documented import classes, fields, hooks, is_given, is_written, methods, said_by

import caisey_core
from caisey_hookspecs.declaration import KINDS

ALL = {"Called", "Thread", "Limit", "Raises", "Example"}
WRITTEN = {name: one for name, one in classes().items() if is_written(one)}
GIVEN = {name: one for name, one in classes().items() if is_given(one)}
UNITS = ("_seconds", "_ns", "_bytes")


def is_sentence(words: str) -> bool:
    """Say whether the first paragraph is one."""
    return words.partition("\n\n")[0].rstrip("*").endswith((".", ":"))


def lacking(name: str, thing: Any, wanted: set[str]) -> list[str]:
    """Return what a docstring lacks."""
    said = said_by(name, thing)
    missing = [f"{name} has no section “{label}:”" for label in sorted(wanted - said.sections.keys())]
    missing += [f"{name}: the section “{label}:” is empty" for label, text in said.sections.items() if not text]
    if not is_sentence(said.words):
        missing.append(f"{name}: it does not begin with a sentence")
    return missing


@pytest.mark.parametrize("name", hooks())
def test_each_hook(name: str) -> None:
    """All five sections."""
    assert lacking(name, hooks()[name], ALL) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_each_method_that_an_author_writes(name: str) -> None:
    """The thread stands at the class, or at the method."""
    one = WRITTEN[name]
    assert lacking(name, one, {"Thread"}) == []
    wanted = ALL - {"Thread"}
    assert [words for method, found in methods(one) for words in lacking(f"{name}.{method}", found, wanted)] == []


@pytest.mark.parametrize("name", GIVEN)
def test_each_method_that_an_author_calls(name: str) -> None:
    """It need not say when."""
    one = GIVEN[name]
    wanted = {"Raises", "Example"} - said_by(name, one).sections.keys()
    assert [words for method, found in methods(one) for words in lacking(f"{name}.{method}", found, wanted)] == []


@pytest.mark.parametrize("name", classes())
def test_each_class_and_what_needs_a_unit(name: str) -> None:
    """Each class has words of its own; a number says its unit or what it counts, bytes say how many and what they are."""
    one = classes()[name]
    words = said_by(name, one).words
    assert is_sentence(words)
    hints = get_type_hints(one)
    for field, comment in fields(one):
        of = {hints[field], *get_args(hints[field])}
        if of & {int, float, bytes} and not field.endswith(UNITS):
            assert comment or f"`{field}`" in words, f"{name}.{field} says neither its unit nor its bounds"


def test_no_kind_is_forgotten() -> None:
    """Each kind's hook and class are among those that were looked at."""
    for kind, known in KINDS.items():
        assert known.hook in hooks(), kind
        assert known.makes in WRITTEN.values(), kind
    assert {"EndpointShell", "TenantObject"} < WRITTEN.keys()
    assert {"Store", "Http", "Clock", "Reporter", "ShellListener", "Secret"} <= GIVEN.keys()


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in ("EndpointShell", "Ticketing")])
def test_what_is_said_to_be_called_is_called(name: str) -> None:
    """Whoever writes a method for nothing is told so."""
    core = "\n".join(path.read_text() for path in Path(caisey_core.__file__).parent.glob("services/*.py"))
    for method, found in methods(WRITTEN[name]):
        if "does not call it yet" not in (found.__doc__ or ""):
            assert re.search(rf"\w\.{method}\(", core), f"{name}.{method} is called nowhere"
