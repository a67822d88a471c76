"""Installs distributions as pip lays them down, on a folder of PYTHONPATH: no package index is needed."""

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOTIFIER = """
from caisey_hookspecs import *
import asyncio, threading, time, sys
from msgspec import Struct

{before}

@hookimpl
def caisey_plugin():
    return PluginInfo(name={name!r}, title={name!r}, version="0.0.1", kinds=("notifier",), {info})

@hookimpl
def caisey_notifier(context):
{makes}

class Bad(Notifier):
    def __init__(self, context):
        self.context = context

    async def deliver(self, notice):
{mark}
{does}
"""


def install(
    folder: Path, name: str, source: str, *, distribution: str = "", version: str = "0.0.1", requires: str = "", entry: str = ""
) -> None:
    """Put a distribution there: a module, and its metadata with the entry point (name: `entry`, or the plugin's)."""
    distribution = distribution or name
    module = distribution.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}")
    (info / "entry_points.txt").write_text(f"[caisey.plugins]\n{entry or name} = {module}\n")


def notifier(
    folder: Path,
    name: str,
    does: str,
    *,
    before: str = "",
    makes: str = "return Bad(context)",
    info: str = "enabled_by_default=True",
    marks: bool = True,
) -> None:
    """Install a notifier that leaves a mark when it is called, unless it must be quick, and then does this."""
    mark = f"open({str(folder / f'{name}.called')!r}, 'a').write('called\\n')" if marks else ""
    source = NOTIFIER.format(
        name=name,
        mark=textwrap.indent(mark, " " * 8),
        does=textwrap.indent(does, " " * 8),
        makes=textwrap.indent(makes, " " * 4),
        before=before,
        info=info,
    )
    install(folder, name, source)


@contextmanager
def on_the_path(folder: Path) -> Iterator[Path]:
    """Let programs that are started now find what is installed in this folder."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(folder) + (os.pathsep + before if before else "")
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
