"""`caisey plugins`: every installed plugin gets a verdict that says what to do, and a broken one hides no other."""

from pathlib import Path

import pytest
from distributions import install, on_the_path
from doors import caisey

GOOD = """
from caisey_hookspecs import *

@hookimpl
def caisey_plugin():
    return PluginInfo(name={name!r}, title="Good", version="1", kinds=("notifier",))

@hookimpl
def caisey_notifier(context):
    return None
"""


def plugin(returned: str, more: str = "") -> str:
    """Return a module whose visiting card is this."""
    return f"""
from caisey_hookspecs import *
import msgspec, os, sys, threading, time
{more}

@hookimpl
def caisey_plugin():
    return {returned}

@hookimpl
def caisey_notifier(context):
    return None
"""


def card(name: str, **more: str) -> str:
    """Return the source of a visiting card."""
    given = {"name": repr(name), "title": "'x'", "version": "'1'", "kinds": "('notifier',)", **more}
    return "PluginInfo(" + ", ".join(f"{key}={value}" for key, value in given.items()) + ")"


BAD = {
    "b-import": ("import nothing_of_this_name", "it cannot be imported (ModuleNotFoundError"),
    "b-syntax": ("def", "it cannot be imported (SyntaxError"),
    "b-exit": ("import sys; sys.exit(3)", "it cannot be imported (SystemExit: 3)"),
    "b-recursion": ("def f(): f()\nf()", "it cannot be imported (RecursionError"),
    "b-sly": (
        "class E(Exception):\n def __str__(self): raise SystemExit\nraise E",
        "it cannot be imported (E: its words cannot be read)",
    ),
    "b-hangs": ("import time; time.sleep(3600)", "its import does not end within 10 s"),
    "b-empty": ("", "it has no caisey_plugin hook"),
    "b-raises": (plugin("1 / 0"), "its caisey_plugin fails (ZeroDivisionError"),
    "b-returns": (plugin("42"), "it has no caisey_plugin hook that returns a PluginInfo"),
    "b-coroutine": (
        plugin("42").replace("def caisey_plugin", "async def caisey_plugin"),
        "its caisey_plugin is a coroutine: leave out the async",
    ),
    "b-field": (plugin(card("b-field", more="3")), "its caisey_plugin fails (TypeError: Unexpected keyword argument 'more')"),
    "b-type": (plugin(card("b-type", title="3")), "its PluginInfo does not fit the contract (Expected `str`, got `int`"),
    "b-newer": (plugin(card("b-newer", contract="2")), "it needs version 2 of the contract, and this Caisey has 1: install"),
    "b-older": (plugin(card("b-older", contract="0")), "it needs version 0 of the contract"),
    "b-wants": ("from caisey_hookspecs import NotThereYet", "it wants more of the contract than this Caisey has (ImportError"),
    "b-hook": (
        plugin(card("b-hook"), "@hookimpl\ndef caisey_teleport(): ..."),
        "its hooks do not fit the contract (unknown hook",
    ),
    "b-argument": (
        plugin(card("b-argument")).replace("(context)", "(contekst)"),
        "its hooks do not fit the contract (Plugin 'b-argument' for hook 'caisey_notifier'",
    ),
    "b-name": (plugin(card("another")), "it calls itself “another”, its entry point “b-name”"),
    "b-kind": (plugin(card("b-kind", kinds="('teleporter',)")), "its PluginInfo does not fit the contract (Invalid enum value"),
    "b-none": (plugin(card("b-none", kinds="()")), "it names no kind"),
    "b-lacks": (
        plugin(card("b-lacks", kinds="('notifier', 'shell')")),
        "it says that it is of the kind “shell” but lacks the hook caisey_shell",
    ),
    "b-star": (plugin(card("b-star", hosts="('*.com',)")), "it declares a host that is none (“*.com” is no host"),
    "b-hosts": (plugin(card("b-hosts", hosts_from="'x'")), "its PluginInfo does not fit the contract (Expected a function"),
    "b-settings": (
        plugin(card("b-settings", settings="int")),
        "its PluginInfo does not fit the contract (Expected a Struct type",
    ),
    "b-strange": (
        plugin(card("b-strange", settings="S"), "class S(msgspec.Struct):\n x: 'Nowhere'"),
        "its settings cannot be read",
    ),
    "B_Name": (plugin(card("B_Name")), "its name has other characters"),
    "b-threads": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()",
        "it has no caisey_plugin hook",
    ),
}


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each, by name and distribution."""
    folder = tmp_path_factory.mktemp("site")
    for name, (source, _) in BAD.items():
        install(folder, name, source)
    install(folder, "b-requires", GOOD.format(name="b-requires"), requires="caisey-hookspecs>=2")
    install(folder, "good", GOOD.format(name="good"), requires="caisey-hookspecs>=0.1; python_version>'3'")
    install(folder, "twice", GOOD.format(name="twice"), distribution="aaa-twice")
    install(folder, "twice", GOOD.format(name="twice"), distribution="caisey-twice")
    install(folder, "bash", GOOD.format(name="bash"), distribution="aaa-bash")
    damaged = folder / "damaged-1.dist-info"
    damaged.mkdir()
    (damaged / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 1\n")
    (damaged / "entry_points.txt").write_text("[caisey.plugins]\nno equals sign\n")
    (folder / "garbage-1.dist-info").mkdir()
    (folder / "garbage-1.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    with on_the_path(folder):
        said = caisey("plugins")
    assert said.returncode == 0
    assert "Traceback" not in said.stdout + said.stderr
    found = {}
    for line in said.stdout.splitlines():
        name, _, rest = line.partition(" ")
        found[f"{name} {next((d for d in ('aaa-twice', 'caisey-twice', 'aaa-bash') if d in rest), '')}".strip()] = line
    return {**found, "": said.stderr}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(listed: dict[str, str], name: str) -> None:
    """One line for each, without a traceback."""
    assert f"broken: {BAD[name][1]}" in listed[name]


def test_the_others_are_there(listed: dict[str, str]) -> None:
    """Built-in plugins, and a good one among all of them."""
    for name in ("bash", "browser-notifier", "local-accounts", "good"):
        assert listed[name].endswith(" ok")


def test_a_requirement_that_does_not_hold(listed: dict[str, str]) -> None:
    """As when somebody installed without dependencies."""
    assert "broken: it needs caisey-hookspecs >=2, and 0.1.0 is installed: install another version" in listed["b-requires"]


def test_two_with_one_name(listed: dict[str, str]) -> None:
    """The one of the distribution that is named so is used, whatever order the folder has; no stranger takes the place of bash."""
    assert listed["twice caisey-twice"].endswith(" ok")
    assert "broken: it has the same name as the plugin in caisey-twice 0.0.1; uninstall one" in listed["twice aaa-twice"]
    assert "broken: it has the same name as the plugin in caisey-bash 0.1.0; uninstall one" in listed["bash aaa-bash"]


def test_damaged_metadata_hides_nobody(listed: dict[str, str]) -> None:
    """It is listed under its folder; metadata of what is no plugin of ours is not our affair."""
    assert "broken: its metadata cannot be read" in listed["damaged-1.dist-info"]
    assert "garbage-1.dist-info" not in listed


def test_threads_of_an_import_do_not_keep_the_command(listed: dict[str, str]) -> None:
    """They are left behind, and that is said; nothing else is."""
    (line,) = listed[""].splitlines()
    assert line.startswith("caisey: threads of plugins do not end (")
    assert "import of plugin b-hangs" in line


def test_the_traceback_is_there_for_who_wants_it(tmp_path: Path) -> None:
    """With its file and line."""
    install(tmp_path, "b-import", "import nothing_of_this_name")
    with on_the_path(tmp_path):
        said = caisey("plugins", "--traceback")
    assert "b_import.py" in said.stdout
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in said.stdout
