"""`caisey plugins new`: whatever the name, what it writes passes its tests at once, has types and no complaints."""

import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from doors import caisey
from wheels import Environment, built, environment, run, written

from caisey_core import new_plugin
from caisey_core.new_plugin import LONGEST_NAME, kinds

NAMES = {"identity": "x", "ticketing": "help-desk-2-of-acme", "shell": "n" * LONGEST_NAME, "notifier": "a1-b2"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment for all of them."""
    return environment(tmp_path_factory.mktemp("written") / "environment")


@pytest.mark.parametrize("kind", kinds())
def test_its_tests_pass_at_once(kind: str, place: Environment, tmp_path: Path) -> None:
    """Installed from its wheel, it is `ok` for the server, and its conformance suite is green."""
    name = NAMES[kind]
    folder = written(name, kind, tmp_path)
    place.install(built(folder, tmp_path))
    said = run(place.python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", folder=folder)
    assert " passed" in said
    assert "skipped" not in said
    line = next(line for line in place.caisey("plugins").splitlines() if line.split()[0] == name)
    assert f" {kind} " in line
    assert " ok" in line


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("name", ["x", "n" * LONGEST_NAME, "a-1-b-2"])
def test_no_complaints(kind: str, name: str, tmp_path: Path) -> None:
    """ruff and its formatter, under the settings that were written with it."""
    folder = written(name, kind, tmp_path)
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".", folder=folder)
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".", folder=folder)
    everything = "\n".join(path.read_text() for path in folder.rglob("*.*") if path.is_file())
    assert f"example-{kind}" not in everything
    assert f"example_{kind}" not in everything
    assert f"Example {kind}" not in everything


@pytest.mark.parametrize("kind", kinds())
def test_types(kind: str, tmp_path: Path) -> None:
    """mypy --strict over the plugin and its tests."""
    folder = written(NAMES[kind], kind, tmp_path)
    module = f"caisey_{NAMES[kind].replace('-', '_')}"
    run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), module, "tests", folder=folder)


def test_an_installed_caisey_can_write_them_too(tmp_path: Path) -> None:
    """The wheel has every file of every kind, and no other."""
    root = Path(new_plugin.__file__).parents[1]
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, folder=root)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in ZipFile(wheel).namelist() if name.startswith("caisey_core/plugin_templates/")}
    tracked = run("git", "ls-files", "caisey_core/plugin_templates", folder=root).split()
    assert inside == set(tracked)


@pytest.mark.parametrize("name", ["", "X", "1st", "a_b", "-a", "a-", "a--b", "ä", "../x", "n" * (LONGEST_NAME + 1), "caisey-"])
def test_a_name_that_is_none(name: str, tmp_path: Path) -> None:
    """It is refused in words, and nothing is written."""
    done = caisey("plugins", "new", "--kind=shell", f"--in={tmp_path}", "--", name)
    assert done.returncode == 1
    assert "cannot be a plugin's name" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder that exists stays as it is; with the prefix the name is the same."""
    written("pager", "notifier", tmp_path)
    (tmp_path / "caisey-pager" / "README.md").write_text("mine")
    for name in ("pager", "caisey-pager"):
        done = caisey("plugins", "new", name, "--kind", "notifier", "--in", str(tmp_path))
        assert done.returncode == 1
        assert "exists already" in done.stderr
    assert (tmp_path / "caisey-pager" / "README.md").read_text() == "mine"


def test_a_kind_that_is_none(tmp_path: Path) -> None:
    """The kinds that there are are named."""
    done = caisey("plugins", "new", "pager", "--kind", "pigeon", "--in", str(tmp_path))
    assert done.returncode == 1
    assert "there are identity, notifier, shell, ticketing" in done.stderr
