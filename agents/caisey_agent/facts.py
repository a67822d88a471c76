"""What this device is like: read from the system, never guessed; what cannot be read stays empty."""

import contextlib
import getpass
import os
import platform
import shutil
import socket
import time
from pathlib import Path
from typing import Literal

from caisey_agent.home import Config
from caisey_agent.protocol.frames import LONGEST_FACT, Facts


def _platform() -> Literal["linux", "macos", "windows", "other"]:
    names: dict[str, Literal["linux", "macos", "windows"]] = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}
    return names.get(platform.system(), "other")


def system_name() -> str:
    """Return the operating system's name for people."""
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{platform.system()} {platform.release()}"


def person(config: Config) -> str:
    """Return the account of the person at the keyboard."""
    if config.account:
        return config.account
    with contextlib.suppress(OSError):
        return os.getlogin()
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return ""


def _memory() -> tuple[int, int]:
    sizes = {}
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes.get("MemTotal", 0), sizes.get("MemAvailable", 0)


def _uptime() -> float:
    with contextlib.suppress(OSError, ValueError):
        return float(Path("/proc/uptime").read_text().split()[0])
    return time.monotonic()


def _addresses() -> tuple[str, ...]:
    """Return the address with which this device would reach the network; nothing is sent (UDP connect)."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return (str(probe.getsockname()[0]),)
    return ()


def gather(config: Config, consent_page: str) -> Facts:
    """Return the facts as they are now; takes about a millisecond."""
    disk = shutil.disk_usage("/")
    memory_total, memory_available = _memory()
    return Facts(
        host_name=socket.gethostname()[:LONGEST_FACT],
        system=system_name()[:LONGEST_FACT],
        platform=_platform(),
        architecture=platform.machine(),
        user=person(config)[:LONGEST_FACT],
        uptime_seconds=_uptime(),
        disk_total_bytes=disk.total,
        disk_free_bytes=disk.free,
        memory_total_bytes=memory_total,
        memory_available_bytes=memory_available,
        pending_reboot=Path("/var/run/reboot-required").exists(),
        addresses=_addresses(),
        consent_page=consent_page if config.demonstration else "",
        scopes=tuple(config.scopes),
        attended=not config.unattended_scopes,
        shell=config.shell,
    )
