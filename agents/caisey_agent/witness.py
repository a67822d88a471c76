"""What this device remembers of the server's log, and its judgement of what the server shows next.

The memory is one file, replaced as a whole: kill -9 leaves the older checkpoint or the newer one, and both are true.
"""

import contextlib
import time
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caisey_agent.home import Config, HomeTrouble, write_durably
from caisey_agent.protocol import frames as f
from caisey_agent.protocol import history
from caisey_agent.protocol.history import Doubt, NotSigned, Reason, Seen

WORDS: Final[dict[Reason, str]] = {
    "signature": "what it shows as its record is not signed by the key that this device knows",
    "shorter": "its record is shorter than the one that this device remembers: something is missing",
    "fork": "its record does not continue the one that this device remembers: something was changed",
}


class Witness:
    """One device's memory of its tenant's log."""

    def __init__(self, folder: Path, config: Config, key: Ed25519PrivateKey) -> None:
        """Raises HomeTrouble where the pinned key cannot be read."""
        self._path, self._config, self._device_key = folder / "checkpoint", config, key
        try:
            self._key = history.parse_key(config.key)
        except NotSigned as error:
            raise HomeTrouble(f"The record key in {folder / 'config.json'} cannot be read ({error}). Enrol again.") from error
        self.seen: Seen | None = None

    def load(self) -> str:
        """Read the memory anew; returns words where it was damaged, and the device begins without one."""
        self.seen = None
        try:
            self.seen = history.read(self._path.read_bytes().decode(), self._key)
        except FileNotFoundError:
            return ""
        except (UnicodeDecodeError, NotSigned) as error:
            self._path.replace(self._path.with_name("checkpoint.damaged"))
            return f"the remembered checkpoint is damaged or another log's ({error}) and was put aside; this device begins with the next one"
        return ""

    def judge(self, shown: f.History) -> Reason | None:
        """Remember what fits, durably; otherwise say why it does not."""
        try:
            new = history.read(shown.checkpoint, self._key)
        except NotSigned:
            return "signature"
        old = self.seen
        if old is not None:
            if new.size < old.size:
                return "shorter"
            if not history.continues(old, new, shown.proof):
                return "fork"
        if old is None or new.size > old.size:
            with contextlib.suppress(OSError):  # a full disk: the older one stays on it, and is as true
                write_durably(self._path, new.note.encode())
        self.seen = new
        return None

    def doubt(self, reason: Reason, shown: str) -> f.Doubts:
        """Return the evidence for those who run the server: what is remembered and what was shown, signed by this device."""
        data = msgspec.msgpack.encode(
            Doubt(
                device=self._config.device,
                remembered=self.seen.note if self.seen is not None else "",
                shown=shown[: history.LONGEST_NOTE],
                reason=reason,
                at=time.time_ns() // 1000,
            )
        )
        return f.Doubts(doubt=data, signature=history.sign(self._device_key, data))


def forget(folder: Path) -> bool:
    """Forget the remembered checkpoint: whoever sits at the device decided so. False if there was none."""
    try:
        (folder / "checkpoint").unlink()
    except FileNotFoundError:
        return False
    return True
