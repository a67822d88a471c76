"""docs/write-a-plugin.md: a newcomer who does what it says, block by block, has a tested plugin in a server within ten minutes."""

import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from document import ROOT, prose, rows, section, text_of
from wheels import environment, run

sys.path.append(str(ROOT / "tests" / "contract"))

from documented import classes, hooks, is_written, methods, said_by

from caisey_core.new_plugin import kinds
from caisey_hookspecs import CONTRACT, testing
from caisey_hookspecs.declaration import ENDPOINT_GROUP, GROUP, KINDS

GUIDE = text_of("write-a-plugin.md")
BLOCKS = re.findall(r"^```(\w+)( fails)?\n(.*?)^```$", GUIDE, re.M | re.S)
TEN_MINUTES = 600.0


def test_the_guide_names_every_hook_and_both_groups() -> None:
    """The contracts with their hooks, and where they are looked for."""
    assert set(re.findall(r"`(caisey_\w+)`", section(GUIDE, "The contracts"))) - {"caisey_hookspecs"} == hooks().keys()
    assert {row[0] for row in rows(section(GUIDE, "How it is found"))} == {f"`{GROUP}`", f"`{ENDPOINT_GROUP}`"}
    assert {row[0] for row in rows(section(GUIDE, "The contracts"))} >= KINDS.keys()


def test_the_guide_names_every_method_with_its_limit() -> None:
    """As the docstrings say; the methods of the endpoint half stand in its own class."""
    table = {row[0].strip("`"): row[1:] for row in rows(section(GUIDE, "The contracts")) if "." in row[0]}
    found = {}
    for name, one in classes().items():
        for method, function in methods(one) if is_written(one) and name != "EndpointShell" else ():
            limit = said_by(method, function).sections["Limit"].partition(" ")[0]
            must = "yes" if getattr(function, "__isabstractmethod__", False) else "–"
            found[f"{name}.{method}"] = [limit, must]
    assert table == found


def test_the_guide_names_every_kind_and_every_suite() -> None:
    """Those of which a plugin can be written, and those that can be enabled."""
    assert set(kinds()) == KINDS.keys()
    for kind in kinds():
        assert f"`{kind}`" in section(prose(GUIDE), "Ten minutes")
    suites = {name for name in testing.__all__ if name.endswith("Conformance")} - {"PluginConformance"}
    assert {row[0].strip("`") for row in rows(section(prose(GUIDE), "The test kit"))} == suites
    assert f"The contract is version {CONTRACT} " in section(prose(GUIDE), "Stability")


def script() -> str:
    """Return what a newcomer types, in the order of the page; a Python block is a file that they save."""
    lines = ["set -eu"]
    for language, fails, text in BLOCKS:
        if language == "sh":
            commands = f"( {text})" if fails else text
            lines.append(f"if {commands}; then exit 1; fi" if fails else commands)
        else:
            named = re.match(r"# (\S+\.py)\n", text)
            assert named is not None, f"a block of {language} says no file:\n{text}"
            lines.append(f"cat > {named.group(1)} <<'END OF FILE'\n{text}END OF FILE")
    lines.append(
        textwrap.dedent(
            """\
            .venv/bin/pytest --quiet
            .venv/bin/mypy --strict caisey_pager tests notes_of_a_context.py settings_of_a_desk.py
            .venv/bin/ruff check tests
            .venv/bin/python - <<'END OF FILE'
            import asyncio

            import notes_of_a_context
            import settings_of_a_desk
            from caisey_hookspecs import NoSettings, Secret
            from caisey_hookspecs.testing import fake_context

            context = fake_context(NoSettings(), hosts=("api.vendor.example",))
            asyncio.run(notes_of_a_context.look_around(context))
            assert len(context.logged) == len(context.report.changes) == 1
            assert settings_of_a_desk.Settings(address="https://a.example", token=Secret("t")).boards == ()
            END OF FILE
            """
        )
    )
    return "\n".join(lines)


def test_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `caisey plugins new` to a green conformance run, a change with its test, a wheel, and `ok` in the server's list."""
    assert {language for language, _, _ in BLOCKS} == {"sh", "python"}
    server = environment(tmp_path / "server")
    monkeypatch.setenv("CAISEY", str(ROOT))
    monkeypatch.setenv("SERVER", str(server.folder))
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "ten-minutes.sh").write_text(script())
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "ten-minutes.sh"], cwd=tmp_path, capture_output=True, text=True, timeout=TEN_MINUTES, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < TEN_MINUTES
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("pager ")]
    assert "caisey-pager 0.1.0" in line
    assert " ok" in line
    assert "pager" not in run(sys.executable, "-m", "caisey_core.cli", "plugins")
