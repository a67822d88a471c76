"""docs/write-a-plugin.md: its example is installed into a server of its own and does what the page says."""

import inspect
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from document import ROOT, rows, section, text_of
from doors import caisey, running, until

import caisey_hookspecs
from caisey_core.plugin_host.discovery import GROUP, KINDS
from caisey_hookspecs import identity, notifier, plugin, shell

GUIDE = text_of("write-a-plugin.md")
EXAMPLE = ROOT / "docs" / "example-notifier"


def specifications() -> dict[str, Any]:
    """Return all hooks of the contract."""
    modules = (plugin, identity, notifier, shell)
    return {
        name: found
        for module in modules
        for name, found in vars(module).items()
        if inspect.isfunction(found) and hasattr(found, "caisey_spec")
    }


def test_every_hook_and_every_class_of_the_contract_says_what_it_is_for() -> None:
    """An author reads the contract and nothing else."""
    found = specifications()
    assert {kind.hook for kind in KINDS.values()} < found.keys()
    for name, hook in found.items():
        assert (hook.__doc__ or "").strip().endswith("."), name
    for name in caisey_hookspecs.__all__:
        thing = getattr(caisey_hookspecs, name)
        if inspect.isclass(thing):
            assert "Struct" not in (thing.__doc__ or "Struct"), name


def test_the_guide_names_every_hook_and_both_groups() -> None:
    """The four contracts with their hooks."""
    assert set(re.findall(r"`(caisey_\w+)`", section(GUIDE, "The contracts"))) == specifications().keys()
    assert {row[0] for row in rows(section(GUIDE, "How it is found"))} == {f"`{GROUP}`", "`caisey.endpoint`"}


def test_the_page_shows_the_files_that_are_there() -> None:
    """Whoever copies from the page gets what was tested."""
    blocks = re.findall(r"^```(?:toml|python)\n(.*?)^```$", GUIDE, re.M | re.S)
    assert blocks == [
        (EXAMPLE / path).read_text() for path in ("pyproject.toml", "caisey_log_notifier/__init__.py")
    ]  # fmt: skip


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example where Python finds it, as pip lays it down: its package and its metadata (no package index is needed)."""
    place = tmp_path / "installed"
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(EXAMPLE / "caisey_log_notifier", place / "caisey_log_notifier")
    metadata = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("".join(groups))
    monkeypatch.setenv("PYTHONPATH", str(place))
    return place


@pytest.mark.usefixtures("installed")
def test_the_example_is_found() -> None:
    """`caisey plugins` lists it with its kind and `ok`."""
    line = next(line for line in caisey("plugins").stdout.splitlines() if line.startswith("log-notifier"))
    assert line.split() == ["log-notifier", "1.0", "notifier", "caisey-log-notifier", "1.0", "ok"]


@pytest.mark.usefixtures("installed")
def test_the_example_notifies(tmp_path: Path) -> None:
    """A dispatcher assigns a device; the technician's notice is one line of the server's log."""
    with running(tmp_path / "data") as server:
        me = next(t["id"] for t in server.people["dispatcher"].get("/devices")["technicians"] if t["name"] == "Tom Brandt")
        order = {"devices": [server.devices["HD-XRAY"].id], "technicians": [me], "reason": "The scanner hangs"}
        server.people["dispatcher"].post("/assignments", order)
        until(lambda: "notice for tom@brightwater.example" in server.log(), "the line in the log")
        lines = [line for line in server.log().splitlines() if "notice for" in line]
        assert len(lines) == 1
        assert f"{server.url}/t/brightwater-it/" in lines[0]
        assert '"logger": "caisey.plugins.log-notifier"' in lines[0]
