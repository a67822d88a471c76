"""Every example of the contract runs: in the order of the source, each after the example of its class."""

import ast
import contextlib
import hmac
import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
import pytest
from documented import classes, hooks, methods, said_by
from msgspec import Meta, Struct

import caisey_hookspecs
from caisey_core.new_plugin import TEMPLATES
from caisey_hookspecs import HttpAnswer, Launch, NoSettings, Rejected, Size, Unavailable
from caisey_hookspecs.testing import FakeContext, Heard, fake_context

EXAMPLES = {
    **{name: said_by(name, found).sections.get("Example") for name, found in hooks().items()},
    **{name: said_by(name, one).sections.get("Example") for name, one in classes().items()},
    **{
        f"{name}.{method}": said_by(method, found).sections.get("Example")
        for name, one in classes().items()
        for method, found in methods(one)
    },
    "caisey_hookspecs": said_by("caisey_hookspecs", caisey_hookspecs).sections.get("Example"),
}
OF_HOOKS = {  # whose example a hook's example goes on from
    "caisey_identity": "Identity",
    "caisey_ticketing": "Ticketing",
    "caisey_shell": "Shell",
    "caisey_notifier": "Notifier",
}


def compiled(name: str, source: str) -> Any:
    """Return an example's code; it may await."""
    return compile(source, f"<example of {name}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def run(name: str, names: dict[str, Any]) -> None:
    """Run an example."""
    source = EXAMPLES[name]
    assert source is not None
    result = eval(compiled(name, source), names)
    if inspect.isawaitable(result):
        await result


@pytest.fixture
def context() -> FakeContext[NoSettings]:
    """A context whose vendor answers what the examples expect."""
    made = fake_context(NoSettings(), hosts=("api.vendor.example",))
    made.http.answer_all(HttpAnswer(200, {"content-type": "application/json"}, b'{"name": "Caisey"}'))
    return made


@pytest.fixture
async def names(context: FakeContext[NoSettings], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Any]]:
    """Everything that an author imports, a context, and the objects of the plugins that `caisey plugins new` writes."""
    for kind in ("ticketing", "shell"):
        monkeypatch.syspath_prepend(TEMPLATES / f"caisey-example-{kind}")
    from caisey_example_shell.endpoint import KeptShell  # type: ignore[import-not-found]
    from caisey_example_ticketing import HelpDesk  # type: ignore[import-not-found]

    heard = Heard()
    shell = KeptShell(Launch(size=Size(), home="/"), heard)
    await shell.start()
    yield {
        **{name: getattr(caisey_hookspecs, name) for name in caisey_hookspecs.__all__},
        "Annotated": Annotated,
        "Meta": Meta,
        "Struct": Struct,
        "contextlib": contextlib,
        "hmac": hmac,
        "msgspec": msgspec,
        "timedelta": timedelta,
        "urlencode": urlencode,
        "context": context,
        "heard": heard,
        "listener": heard,
        "command": uuid4(),
        "KeptShell": KeptShell,
        "caisey_endpoint_shell": KeptShell,
        "HelpDesk": HelpDesk,
        "desk": HelpDesk(context),
        "shell": shell,
    }
    await shell.close()
    for module in [name for name in sys.modules if name.startswith("caisey_example_")]:
        del sys.modules[module]


@pytest.mark.parametrize("name", [name for name, source in EXAMPLES.items() if source])
async def test_the_example_runs(name: str, names: dict[str, Any]) -> None:
    """Whoever copies it gets what was run."""
    owner, _, method = name.partition(".")
    first = OF_HOOKS.get(owner, owner if method else "")
    if EXAMPLES.get(first):
        await run(first, names)
    if owner in ("ShellListener", "EndpointShell") and method:
        heard: Heard = names["heard"]
        if method in ("output", "finished") and owner == "ShellListener":
            heard.started(names["command"])
    if name in ("Unavailable", "Rejected"):
        with pytest.raises((Unavailable, Rejected)):
            await run(name, names)
    else:
        await run(name, names)
    if owner == "EndpointShell" and method == "start":
        await names["shell"].close()


def test_templates_are_beside_the_command_that_writes_them() -> None:
    """The examples are of those that are written."""
    assert Path(TEMPLATES / "caisey-example-ticketing").is_dir()


def test_the_examples_have_the_right_types(tmp_path: Path) -> None:
    """mypy --strict finds nothing in them, as in the plugin of whoever copies them."""
    given = {
        "context": "FakeContext[NoSettings]",
        "heard": "Heard",
        "listener": "Heard",
        "command": "UUID",
        "desk": "HelpDesk",
        "shell": "KeptShell",
    }
    lines = [
        "import contextlib, hmac, msgspec",
        "from datetime import timedelta",
        "from typing import Annotated",
        "from urllib.parse import urlencode",
        "from uuid import UUID",
        "from msgspec import Meta, Struct",
        f"from caisey_hookspecs import {', '.join(caisey_hookspecs.__all__)}",
        "from caisey_hookspecs.testing import FakeContext, Heard",
        "from caisey_example_ticketing import HelpDesk",
        "from caisey_example_shell.endpoint import KeptShell, caisey_endpoint_shell",
    ]
    for number, (name, source) in enumerate(EXAMPLES.items()):
        if source and name != "caisey_ticketing":  # whose class is left unfinished
            owner, _, method = name.partition(".")
            first = EXAMPLES.get(OF_HOOKS.get(owner, owner if method else ""))
            needed = [one for one in given if not re.search(rf"^{one} = ", first or source, re.M)]
            parameters = ", ".join(f"{one}: {given[one]}" for one in needed)
            lines.append(f"\n\nasync def example_{number}({parameters}) -> None:\n    # {name}")
            lines.append(textwrap.indent("\n".join(filter(None, (first, source))), "    "))
    (tmp_path / "examples.py").write_text("\n".join(lines))
    path = os.pathsep.join(str(TEMPLATES / f"caisey-example-{kind}") for kind in ("ticketing", "shell"))
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "examples.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "MYPYPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
