"""Plugins that raise, hang, block, end their thread or do not even import: installed for real, and nobody else notices."""

import os
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from doors import Browser, Caisey, running, until
from doors import caisey as command_line

HEAD = """
from caisey_hookspecs import Context, Delivery, NoSettings, Notice, Notifier, PluginInfo, hookimpl

@hookimpl
def caisey_plugin():
    return PluginInfo(name={name!r}, title={name!r}, version="0.0.1", kinds=("notifier",), enabled_by_default=True)

@hookimpl
def caisey_notifier(context):
    return Bad()

class Bad(Notifier):
    async def deliver(self, notice):
        open({mark!r}, "a").write("called\\n")
"""
KINDS = {
    "bad-raises": "raise RuntimeError('broken inside')",
    "bad-hangs": "import asyncio; await asyncio.sleep(3600)",
    "bad-blocks": "import time; time.sleep(3600)",
    "bad-spins": "while True: pass",
    "bad-exits": "import sys; sys.exit(7)",
    "bad-answers": "return 42",
}
BROKEN = {"bad-import": "import nothing_of_this_name", "bad-exit-at-import": "import sys; sys.exit(3)", "bad-empty": ""}


def install(folder: Path, name: str, source: str) -> None:
    """Put a distribution there as pip would: a module, and its metadata with the entry point."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")
    (info / "entry_points.txt").write_text(f"[caisey.plugins]\n{name} = {module}\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place on PYTHONPATH with all of them."""
    made = tmp_path_factory.mktemp("site")
    for name, does in KINDS.items():
        source = HEAD.format(name=name, mark=str(made / f"{name}.called")) + textwrap.indent(does, " " * 8) + "\n"
        install(made, name, source)
    for name, source in BROKEN.items():
        install(made, name, source)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(made) + (os.pathsep + before if before else "")
    yield made
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def caisey(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caisey]:
    """A demonstration with all of them installed."""
    with running(tmp_path_factory.mktemp("caisey") / "data") as started:
        yield started


def test_they_are_listed(folder: Path) -> None:
    """What can be used is ok; what cannot says why, in one line, and the others are still there."""
    listed = command_line("plugins")
    assert listed.returncode == 0
    assert "Traceback" not in listed.stdout + listed.stderr
    lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
    for name in (*KINDS, "bash", "browser-notifier", "local-accounts"):
        assert lines[name].rstrip().endswith(" ok"), lines[name]
    assert "broken: it cannot be imported (ModuleNotFoundError" in lines["bad-import"]
    assert "broken: it cannot be imported (SystemExit" in lines["bad-exit-at-import"]
    assert "broken: it has no caisey_plugin hook" in lines["bad-empty"]


def test_assigning_answers_quickly(caisey: Caisey, folder: Path) -> None:
    """Each of them is called, none holds up the answer, and the technician's notice by the good one arrives within seconds."""
    dana, tom = caisey.people["dispatcher"], caisey.people["tom"]
    technicians = {choice["name"]: choice["id"] for choice in dana.get("/devices")["technicians"]}
    page = Browser(caisey.url)
    page.get(urlsplit(tom.sign_in).path)
    page.post(urlsplit(tom.sign_in).path)
    for name in ("HD-FRONTDESK", "HD-XRAY", "PP-OFFICE"):
        order = {"devices": [caisey.devices[name].id], "technicians": [technicians["Tom Brandt"]], "reason": "Printer"}
        began = time.monotonic()
        dana.post("/assignments", order)
        assert time.monotonic() - began < 2
        assert name in [one["device_name"] for one in tom.get("/queue")["mine"]]
        until(lambda name=name: name in page.get("/t/brightwater-it/notices").text, "the notice in the page", 5)  # type: ignore[misc]
    for name in KINDS:
        until(lambda name=name: (folder / f"{name}.called").exists(), f"{name} to be called")  # type: ignore[misc]


def test_the_job_goes_on(caisey: Caisey) -> None:
    """While they hang and spin, a whole session runs, and the server stops when it is asked to."""
    session = caisey.active()
    assert caisey.run(session, "echo fine")["output"] == "fine\r\n"
    caisey.finish(session)
    assert caisey.verify().returncode == 0
    assert caisey.stop() == 0
