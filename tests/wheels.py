"""A stranger's plugin: written outside the repository, built as a wheel, and installed into an environment that a server runs in."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from doors import caisey


def run(*command: str | Path, folder: Path | None = None) -> str:
    """Run a program and return what it said; fails with all of it."""
    done = subprocess.run([str(one) for one in command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass
class Environment:
    """An environment with all that these tests run with, and a `pip` that puts more beside it. `python` is for `doors.Server`."""

    folder: Path

    @property
    def python(self) -> str:
        """The interpreter in which a server of this environment runs."""
        return str(self.folder / "bin" / "python")

    def install(self, wheel: Path) -> None:
        """Install a wheel; what it needs is there already."""
        run(self.python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)

    def uninstall(self, distribution: str) -> None:
        """Take it out again."""
        run(self.python, "-m", "pip", "uninstall", "--quiet", "--yes", distribution)

    def caisey(self, *arguments: str) -> str:
        """Run the command line and return what it said."""
        return run(self.python, "-m", "caisey_core.cli", *arguments)


def environment(folder: Path) -> Environment:
    """Make one, with a command `caisey`."""
    run(sys.executable, "-m", "venv", folder)
    made = Environment(folder)
    own = Path(run(made.python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    beside = sysconfig.get_paths()["purelib"]
    (own / "beside.pth").write_text(f"import site; site.addsitedir({beside!r})\n")
    command = folder / "bin" / "caisey"
    command.write_text(f"#!{made.python}\nimport sys\nfrom caisey_core.cli import main\nsys.exit(main())\n")
    command.chmod(0o755)
    return made


def written(name: str, kind: str, folder: Path) -> Path:
    """Write a plugin as its author would, and return its folder."""
    done = caisey("plugins", "new", name, "--kind", kind, "--in", str(folder))
    assert done.returncode == 0, done.stderr
    return folder / f"caisey-{name}"


def built(source: Path, to: Path) -> Path:
    """Build a distribution's wheel."""
    assert not source.is_relative_to(Path(__file__).parents[1]), "a stranger's plugin is not in this repository"
    before = {*to.glob("*.whl")}
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", to, folder=source)
    (wheel,) = {*to.glob("*.whl")} - before
    assert os.path.getsize(wheel) > 0
    return wheel


def strangers_pager(folder: Path) -> Environment:
    """Return an environment in which the plugin `pager`, a notifier with settings, was installed from a wheel."""
    made = environment(folder / "environment")
    made.install(built(written("pager", "notifier", folder), folder))
    return made
