"""What a newcomer reads first: two commands that are the right ones, and links that lead somewhere."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from document import DOCUMENTS, README, ROOT, anchors, links, section

ABSOLUTE = re.compile(r"[a-z]+:")


def command_under(heading: str) -> str:
    """Return the one fenced command under a heading."""
    found = re.findall(r"^```sh\n(.*?)^```$", section(README.read_text(), heading), re.M | re.S)
    assert len(found) == 1
    return str(found[0]).strip()


@pytest.mark.parametrize("heading", ["Run", "Test"])
def test_one_command_each(heading: str) -> None:
    """One line, for Python alone, and bootstrap.py knows it by that name."""
    command = command_under(heading)
    assert "\n" not in command
    python, program, *_ = command.split()
    assert (python, (ROOT / program).is_file()) == ("python3", True)
    usage = subprocess.run([sys.executable, ROOT / program], capture_output=True, text=True).stderr
    assert any(one.strip().removeprefix("Usage: ").startswith(command) for one in usage.split("|")), usage


def test_the_readme_has_no_other_command_to_paste() -> None:
    """Two fenced blocks: a newcomer cannot take the wrong one."""
    assert README.read_text().count("```") == 4


def test_what_is_run_for_every_change_is_the_readmes_command() -> None:
    """`.ci/run` calls it and nothing else that tests."""
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ["set -eu", 'cd "$(dirname "$0")/.."', f"exec {command_under('Test')}"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Each relative link and picture is a file of this repository, each anchor a heading of it."""
    for link in links(document.read_text()):
        if ABSOLUTE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def test_the_readme_names_each_folder_that_is_there() -> None:
    """The table says where is what; a room that is gone or new is noticed."""
    table = section(README.read_text(), "Where is what")
    rooms = {path.name for path in (ROOT / "caisey_core").iterdir() if (path / "__init__.py").exists()}
    named = re.findall(r"^\| `caisey_core/(\w+)` \|", table, re.M)
    assert set(named) == rooms


def test_the_changelog_has_this_version() -> None:
    """Keep a Changelog: one section for each version, the newest on top, and it is the one that is built."""
    versions = re.findall(r"^## \[([\d.]+)\] - (Unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert versions[0][0] == project["version"]
