"""The databases that tests run on: a file beside, or a PostgreSQL of our own from Debian's packages."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from doors import until

both = pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True, scope="session")


def _program(name: str) -> str:
    """PostgreSQL's programs are not on the PATH on Debian."""
    found = shutil.which(name) or next(iter(sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))), None)
    assert found is not None, "PostgreSQL is missing; python3 bootstrap.py test installs it"
    return found


@dataclass
class Postgres:
    """A server of our own on loopback, as user postgres where we are root: PostgreSQL refuses to be root."""

    folder: Path
    port: int
    fsync: str = "on"
    process: subprocess.Popen[bytes] | None = None
    numbers: Iterator[int] = field(default_factory=count)

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        settings = ("listen_addresses=127.0.0.1", "max_connections=200", f"fsync={self.fsync}")
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*_as_postgres(), *command, *arguments], stdout=log, stderr=log)
        process = self.process

        def answers() -> bool:
            assert process.poll() is None, (self.folder / "log").read_text()
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        until(answers, "PostgreSQL")

    def kill(self) -> None:
        """Stop at once: connections are cut, as when its machine is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)

    def address(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql://caisey@127.0.0.1:{self.port}/{name}"

    def run(self, statement: str, name: str = "postgres") -> None:
        """Run a statement."""
        with closing(psycopg.connect(self.address(name), autocommit=True)) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def new(self, template: str = "template1") -> str:
        """Make a database, as a copy if wanted, and return its address."""
        name = f"caisey_{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.address(name)


def _as_postgres() -> list[str]:
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


@contextmanager
def postgres(fsync: str = "on") -> Iterator[Postgres]:
    """Run a PostgreSQL for a while."""
    folder = Path(tempfile.mkdtemp(prefix="caisey-pg-"))
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    initdb = [_program("initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "caisey", "-E", "UTF8", "--no-sync"]
    subprocess.run([*_as_postgres(), *initdb], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Postgres(folder, port, fsync)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
