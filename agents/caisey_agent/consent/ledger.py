"""THE place that decides whether an act is covered: by a consent that this device signed, for this session, scope and time.

Nothing that the server says counts here. What was agreed is on this device's own disk and holds over restarts of the agent; the
time is counted from the answer by a clock that nobody sets (CLOCK_BOOTTIME), after a reboot by the wall clock.
"""

import contextlib
import errno
import functools
import os
import time
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_agent.home import write_durably
from caisey_agent.protocol.consent import Scope
from caisey_agent.protocol.receipt import NO_RECEIPT

RECEIPT_HASH = len(NO_RECEIPT)
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return _BOOT.read_text().strip()
    return ""


def boot_seconds() -> float:
    """Return seconds since the boot, including sleep, where the system can say it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Until(Struct, frozen=True):
    """A moment, by two clocks."""

    boot_id: str
    boot: float
    wall: float

    @classmethod
    def after(cls, seconds: float) -> "Until":
        """Return the moment that lies so many seconds ahead."""
        return cls(_boot_id(), boot_seconds() + seconds, time.time() + seconds)

    def left(self) -> float:
        """Return the seconds until then; none or fewer: it is over."""
        if self.boot_id and self.boot_id == _boot_id():
            return self.boot - boot_seconds()
        return self.wall - time.time()


class Agreed(Struct, frozen=True, kw_only=True):
    """What the person agreed to, with the exact bytes that were signed."""

    request: bytes
    answer: bytes
    signature: bytes
    scopes: tuple[Scope, ...]
    until: Until
    technician: str
    reason: str


class Asked(Struct, frozen=True, kw_only=True):
    """A prompt without its answer."""

    request: bytes
    reason: str
    until: Until  # no answer by then is a no
    again: Until | None = None  # put off until then
    message: str = ""  # the dispatcher's nudge


class Page(Struct, frozen=True, kw_only=True):
    """All that is remembered of one session."""

    session: UUID
    asked: Asked | None = None
    agreed: Agreed | None = None
    over: str = ""  # why it ended
    had_shell: bool = False


class Ledger:
    """All sessions that this device knows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nonces_path = folder / "nonces"
        self._nonces = self._read_nonces()
        self.pages: dict[UUID, Page] = {}
        for path in folder.glob("*.page"):
            page = msgspec.msgpack.decode(path.read_bytes(), type=Page)
            self.pages[page.session] = page
        self._begun: dict[UUID, set[UUID]] = {}
        self._receipts: dict[UUID, bytes] = {}

    def _read_nonces(self) -> set[bytes]:
        if not self._nonces_path.exists():
            return set()
        return {bytes.fromhex(line) for line in self._nonces_path.read_text().split()}

    def use_nonce(self, nonce: bytes) -> bool:
        """Use a nonce up, durably; False if it was used before or is none."""
        if len(nonce) != 16 or nonce in self._nonces:
            return False
        _append_durably(self._nonces_path, nonce.hex().encode() + b"\n")
        self._nonces.add(nonce)
        return True

    def page(self, session: UUID) -> Page:
        """Return what is remembered of a session."""
        return self.pages.get(session) or Page(session=session)

    def keep(self, page: Page) -> None:
        """Remember, durably."""
        write_durably(self._folder / f"{page.session}.page", msgspec.msgpack.encode(page))
        self.pages[page.session] = page

    def change(self, session: UUID, **changes: object) -> Page:
        """Change what is remembered, durably."""
        page = replace(self.page(session), **changes)
        self.keep(page)
        return page

    def forget(self, session: UUID) -> None:
        """Drop a session that is over and told."""
        self.pages.pop(session, None)
        self._begun.pop(session, None)
        self._receipts.pop(session, None)
        for suffix in ("page", "commands", "receipts"):
            (self._folder / f"{session}.{suffix}").unlink(missing_ok=True)

    def why_not(self, session: UUID, scope: Scope) -> str:
        """Say why an act is not covered; empty if it is."""
        page = self.pages.get(session)
        if page is None or (page.agreed is None and not page.over):
            return "Nobody at this device agreed to this session."
        if page.over or page.agreed is None:
            return f"The session is over on this device: {page.over}."
        if page.agreed.until.left() <= 0:
            return "The time that the person at this device agreed to is over."
        if scope not in page.agreed.scopes:
            return f"The person at this device did not agree to “{scope}”."
        return ""

    def begin(self, session: UUID, command: UUID) -> bool:
        """Note that a command is about to run, durably, before it does; False if it was noted before: at most once."""
        begun = self._commands(session)
        if command in begun:
            return False
        _append_durably(self._folder / f"{session}.commands", command.hex.encode() + b"\n")
        begun.add(command)
        return True

    def last_receipt(self, session: UUID) -> bytes:
        """Return the hash that the session's next receipt has to name."""
        if session not in self._receipts:
            path = self._folder / f"{session}.receipts"
            whole = path.read_bytes() if path.exists() else b""
            whole = whole[: len(whole) // RECEIPT_HASH * RECEIPT_HASH]  # the machine may have died in the last write
            self._receipts[session] = whole[-RECEIPT_HASH:] or NO_RECEIPT
        return self._receipts[session]

    def add_receipt(self, session: UUID, receipt: bytes) -> None:
        """Remember a receipt's hash, durably, once the receipt itself is safe in the spool."""
        if receipt != self.last_receipt(session):
            self._receipts[session] = receipt
            with contextlib.suppress(OSError):  # a full disk: the chain goes on in memory
                _append_durably(self._folder / f"{session}.receipts", receipt)

    def _commands(self, session: UUID) -> set[UUID]:
        if session not in self._begun:
            path = self._folder / f"{session}.commands"
            lines = path.read_text().split() if path.exists() else []
            self._begun[session] = {UUID(line) for line in lines if len(line) == 32}
        return self._begun[session]


def _append_durably(path: Path, data: bytes) -> None:
    """Append all of it or nothing. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        end = os.fstat(fd).st_size
        if os.write(fd, data) != len(data):
            os.ftruncate(fd, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fdatasync(fd)
    finally:
        os.close(fd)
