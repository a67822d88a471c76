"""The plugins of this repository pass the suites that strangers' plugins pass; a new one cannot be forgotten."""

import importlib
import tomllib
from pathlib import Path

import pytest

from caisey_hookspecs.declaration import ENDPOINT_GROUP, GROUP, KINDS
from caisey_hookspecs.testing.conformance import read

ROOT = Path(__file__).parents[2]
PROJECTS = {path.parent: tomllib.loads(path.read_text())["project"] for path in (ROOT / "plugins").glob("*/pyproject.toml")}
PLUGINS = [
    (folder, group, name, target)
    for folder, project in PROJECTS.items()
    for group in (GROUP, ENDPOINT_GROUP)
    for name, target in project.get("entry-points", {}).get(group, {}).items()
]
SUITES = {
    "identity": "IdentityConformance",
    "ticketing": "TicketingConformance",
    "shell": "ShellConformance",
    "notifier": "NotifierConformance",
}


@pytest.mark.parametrize(("folder", "group", "name", "target"), PLUGINS)
def test_each_enables_its_suites(folder: Path, group: str, name: str, target: str) -> None:
    """`pytest plugins` runs a suite for each kind of each entry point."""
    tests = "\n".join(path.read_text() for path in (folder / "tests").glob("test_*.py"))
    assert f'plugin = "{name}"' in tests
    if group == ENDPOINT_GROUP:
        assert "(EndpointShellConformance)" in tests
        return
    for kind in read(importlib.import_module(target), name).info.kinds:
        assert f"({SUITES[kind]})" in tests


def test_each_kind_has_a_suite() -> None:
    """None is left without one."""
    assert SUITES.keys() == KINDS.keys()
    assert len(PLUGINS) > 4
