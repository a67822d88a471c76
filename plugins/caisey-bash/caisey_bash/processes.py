"""Starting a shell without the event loop's own spawning, and ending it with everything that came from it (Linux /proc)."""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import pwd
import resource
import signal
import struct
import termios
import time
from pathlib import Path
from typing import Final

PR_SET_CHILD_SUBREAPER: Final = 36  # <linux/prctl.h>
MARK: Final = "CAISEY_DIR"

_shells: Final[set[int]] = set()  # those that run now: each ends its own family only


def become_subreaper() -> None:
    """Adopt daemonised descendants, so that they can be found (prctl(2)); elsewhere than on Linux nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(
    argv: list[str],
    environment: dict[str, str],
    terminal: int,
    side: int,
    side_as: int,
    directory: str,
    account: pwd.struct_passwd | None,
) -> int:
    """Fork, make `terminal` the controlling terminal of a new session, `side` the descriptor `side_as`, and run argv."""
    pid = os.fork()
    if pid:
        _shells.add(pid)
        return pid
    try:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        os.dup2(side, side_as, inheritable=True)
        for fd in (0, 1, 2):
            os.dup2(terminal, fd, inheritable=True)
        os.closerange(3, side_as)
        os.closerange(side_as + 1, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536))
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        if account is not None:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        try:
            os.chdir(directory)
        except OSError:
            os.chdir("/")
        os.execve(argv[0], argv, environment)  # noqa: S606 - bash itself, by absolute path, in the child
    finally:
        os._exit(127)


def foreground(terminal: int) -> int:
    """Return the terminal's foreground process group; 0 if there is none. Raises OSError for a terminal that is gone."""
    (group,) = struct.unpack("i", fcntl.ioctl(terminal, termios.TIOCGPGRP, b"\0\0\0\0"))
    return int(group)


def signal_foreground(terminal: int, shell: int, number: signal.Signals) -> None:
    """Signal the terminal's foreground process group, never the shell itself."""
    with contextlib.suppress(OSError):
        group = foreground(terminal)
        if group > 0 and group != shell:
            os.killpg(group, number)
        elif number is signal.SIGINT:
            os.killpg(shell, signal.SIGINT)  # a builtin such as `read`, or a loop of the shell


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def family(shell: int, mark: str) -> set[int]:
    """Return what came from a shell: it, its descendants, everything in its session, and orphans that came to us.

    An orphan is the shell's if it carries its mark in its environment. One that carries no shell's mark has washed it off; it
    counts as well: whoever ends a shell must not leave behind what hides.
    """
    parents = _parents()
    found = ({shell} & parents.keys()) | {pid for pid, parent in parents.items() if _orphaned(pid, parent, mark)}
    grew = True
    while grew:
        grown = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        grown |= {pid for pid in parents if pid not in found and _session(pid) == shell}
        found |= grown
        grew = bool(grown)
    return found


def _orphaned(pid: int, parent: int, mark: str) -> bool:
    me = os.getpid()
    if parent not in (me, 1) or pid in _shells:
        return False
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    if f"{MARK}={mark}".encode() in environment.split(b"\0"):
        return True
    ours = parent == me and _session(pid) != _session(me)  # what we started ourselves stays in our session
    return ours and f"{MARK}=".encode() not in environment


async def end_all(shell: int, mark: str, within_seconds: float) -> None:
    """End the shell and all of its family: hang up, then kill, again until nobody is left or the time is over; reap what is ours."""
    until = time.monotonic() + within_seconds
    number, left = signal.SIGHUP, set[int]()
    while True:
        left = {pid for pid in left | family(shell, mark) if not _reaped(pid)}
        if not left or time.monotonic() > until:
            _shells.discard(shell)
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, number)
        await asyncio.sleep(0.05 if number is signal.SIGHUP else 0.02)
        number = signal.SIGKILL


def _reaped(pid: int) -> bool:
    """Collect an ended child; True if it is gone."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return not Path(f"/proc/{pid}").exists()
