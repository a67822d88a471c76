"""The reference for terminals: a kept bash at the end of a real ssh on loopback, or on a plain pty where there is no sshd."""

import contextlib
import getpass
import os
import pty
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
BASH = ["bash", "--noprofile", "--norc", "-i"]


class KeptShell:
    """Bytes to and from a shell that stays."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read

    def type(self, data: bytes, until: bytes) -> None:
        """Type, and wait until these bytes came back."""
        os.write(self._write, data)
        tail = b""
        while until not in tail:
            tail = tail[-len(until) :] + os.read(self._read, 1 << 18)


@contextlib.contextmanager
def kept_shell(folder: Path) -> Iterator[tuple[KeptShell, str]]:
    """Open the best that this machine has; yields it with its name."""
    if Path(SSHD).exists() and shutil.which("ssh"):
        with _ssh(folder) as shell:
            yield shell, "kept ssh pty"
    else:
        with kept_pty() as shell:
            yield shell, "kept pty, no sshd here"


@contextlib.contextmanager
def kept_pty() -> Iterator[KeptShell]:
    """A kept bash on a pty of this process."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(BASH[0], BASH)
    try:
        shell = KeptShell(terminal, terminal)
        shell.type(b"PS1='$ '; echo rea''dy\n", b"ready\r\n")
        yield shell
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def _ssh(folder: Path) -> Iterator[KeptShell]:
    """A server of our own on loopback with keys of its own, for this account only."""
    with contextlib.suppress(OSError):
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where an sshd of root wants to be empty
    for name in ("host", "mine"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": str(folder / "host"),
        "AuthorizedKeysFile": str(folder / "mine.pub"),
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "PidFile": "none",
    }
    server = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", "/dev/null", *(f"-o{name}={value}" for name, value in options.items())],
        stderr=subprocess.DEVNULL,
    )
    client: subprocess.Popen[bytes] | None = None
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        mine = ["-i", str(folder / "mine"), "-p", str(port), "-F", "/dev/null"]
        trust = ["-oStrictHostKeyChecking=no", f"-oUserKnownHostsFile={folder / 'known'}", "-oLogLevel=ERROR"]
        client = subprocess.Popen(
            ["ssh", "-tt", *mine, *trust, f"{getpass.getuser()}@127.0.0.1", " ".join(BASH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        shell = KeptShell(client.stdin.fileno(), client.stdout.fileno())
        shell.type(b"PS1='$ '; echo rea''dy\n", b"ready\r\n")
        yield shell
    finally:
        for process in (client, server):
            if process is not None:
                process.terminate()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()
