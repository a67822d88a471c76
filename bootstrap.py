"""Sets up this checkout and runs it: `python3 bootstrap.py demo` for the product, `python3 bootstrap.py test` for all tests.

Needs nothing but Python 3.11 and, the first time, a package index. Everything is installed into .venv beside this file.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
BIN = VENV / "bin"
TEST_PROGRAMS = {  # program -> Debian packages
    "chromium": ("chromium",),
    "initdb": ("postgresql",),
    "go": ("golang-go", "golang-golang-x-mod-dev"),
}
GO_PACKAGE = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog")


def say(words: str) -> None:
    """Tell the newcomer what goes on."""
    print(words, flush=True)


def apt(*packages: str) -> bool:
    """Install Debian packages if that is possible here."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, stdout=subprocess.DEVNULL, check=False)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0


def make_venv() -> None:
    """Make .venv; Debian keeps what that needs in a package of its own."""
    if (BIN / "pip").exists():
        return
    say("Making .venv …")
    command = [sys.executable, "-m", "venv", str(VENV)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if apt("python3-venv") and subprocess.run(command, check=False).returncode == 0:
        return
    sys.exit("Python cannot make a virtual environment. Install it first:  sudo apt-get install python3-venv")


def install(*what: str, mark: str) -> None:
    """Install into .venv unless nothing changed since the last time."""
    wanted = "".join(
        path.read_text()
        for path in sorted([*HERE.glob("*.txt"), *HERE.rglob("*/pyproject.toml"), HERE / "pyproject.toml"])
        if ".venv" not in path.parts and ".tox" not in path.parts
    )
    done = VENV / f"installed-{mark}"
    if done.exists() and done.read_text() == wanted:
        return
    say("Installing (about a minute the first time) …")
    command = [str(BIN / "pip"), "install", "--quiet", "--disable-pip-version-check", *what]
    if subprocess.run(command, cwd=HERE, check=False).returncode != 0:
        sys.exit("The installation failed; pip says why above. Is a package index reachable?")
    done.write_text(wanted)


def initdb_found() -> bool:
    """PostgreSQL's programs are not on the PATH on Debian."""
    return shutil.which("initdb") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def test_programs() -> None:
    """Get what the tests drive, from Debian: Chromium, PostgreSQL, and Go with the log proofs that we did not write."""
    there = {
        "chromium": shutil.which("chromium") is not None,
        "initdb": initdb_found(),
        "go": shutil.which("go") is not None and GO_PACKAGE.is_dir(),
    }
    missing = [package for program, found in there.items() if not found for package in TEST_PROGRAMS[program]]
    if missing:
        say(f"Installing {' and '.join(missing)} from Debian …")
        if not apt(*missing):
            sys.exit(f"The tests need {' and '.join(missing)}. Install them first:  sudo apt-get install {' '.join(missing)}")


def main(arguments: list[str]) -> None:
    """Run `demo …` or `test …`."""
    if sys.version_info < (3, 11):
        sys.exit("Caisey needs Python 3.11 or newer.")
    what, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if what == "demo":
        make_venv()
        install("-r", "requirements.txt", mark="run")
        os.execv(BIN / "caisey", ["caisey", "demo", *rest])
    if what == "test":
        test_programs()
        make_venv()
        install("tox>=4.30", "tox-uv>=1.28", mark="tox")
        # uv brings its own list of authorities; ask it to use the machine's, as pip does
        os.environ.setdefault("UV_SYSTEM_CERTS", "true")
        os.execv(BIN / "tox", ["tox", "run", *rest])
    sys.exit("Usage: python3 bootstrap.py demo [--port PORT] [--data DIR]  |  python3 bootstrap.py test [-e ENVIRONMENT]")


if __name__ == "__main__":
    main(sys.argv[1:])
