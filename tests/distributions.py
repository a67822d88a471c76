"""Plugins that tests install for real: a distribution on a folder of PYTHONPATH, found by its entry point."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def install(folder: Path, name: str, source: str) -> None:
    """Put a distribution there as pip would: a module, and its metadata with the entry point."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")
    (info / "entry_points.txt").write_text(f"[caisey.plugins]\n{name} = {module}\n")


@contextmanager
def on_python_path(folder: Path) -> Iterator[None]:
    """Let programs that are started meanwhile find what is in a folder."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(folder) + (os.pathsep + before if before else "")
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
