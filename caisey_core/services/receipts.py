"""What came of each command and file of a session: the device's receipts, one after the other, over what is recorded."""

import hashlib
from collections.abc import Callable
from uuid import UUID

import msgspec

from caisey_agent.protocol import receipt
from caisey_agent.protocol.receipt import NO_RECEIPT
from caisey_core.domain import events as e

__all__ = ["Mismatch", "Receipts", "digest"]


class Mismatch(Exception):
    """A receipt is not what belongs here. Who follows the session knows the place."""


def digest(seed: bytes | None, text: bytes | None) -> bytes | None:
    """Return what the device signs for a text (SHA-256 of seed and text); None if not all of it is known."""
    return hashlib.sha256(seed + text).digest() if seed is not None and text is not None else None


class Receipts:
    """Compares what is recorded of commands and files with what the device signed. Raises Mismatch.

    `holds` says whether the device signed something: it is given what asks that of the device's key.
    """

    def __init__(self, stream: str, holds: Callable[[Callable[[bytes], bool]], bool]) -> None:
        self._stream, self._holds = stream, holds
        self.count = 0
        self.acts = 0  # commands and files
        self.missing: set[UUID] = set()  # of them, those whose end the device did not sign
        self.undone = 0
        self.uncompared = 0  # receipts for texts that are not wholly known here: signed and chained, but not compared
        self._lines: dict[UUID, bytes | None] = {}
        self._paths: dict[UUID, bytes | None] = {}
        self._outputs: dict[UUID, tuple[hashlib._Hash | None, int]] = {}
        self._previous: bytes | None = NO_RECEIPT  # None: a receipt may have been withheld since
        self._gaps = 0
        self._begun_at: dict[UUID, int] = {}  # how many gaps there were when a command was accepted

    def skip(self) -> None:
        """Pass over an event that is withheld as a whole: it may have been a receipt, or output."""
        self._gaps += 1
        self._previous = None

    def command(self, event: e.CommandAccepted, text: bytes | None, seed: bytes | None) -> None:
        """Expect a receipt for this command line."""
        self.acts += 1
        self.missing.add(event.command)
        self._lines[event.command] = digest(seed, text)
        self._outputs[event.command] = (hashlib.sha256(seed) if seed is not None else None, 0)
        self._begun_at[event.command] = self._gaps

    def transfer(self, event: e.TransferAccepted, text: bytes | None, seed: bytes | None) -> None:
        """Expect a receipt for the file with this path."""
        self.acts += 1
        self.missing.add(event.transfer)
        self._paths[event.transfer] = digest(seed, text)

    def none_due(self, subject: UUID) -> None:
        """Expect no receipt any more: nothing came of it."""
        if subject in self.missing:
            self.missing.discard(subject)
            self.undone += 1

    def output(self, command: UUID, size: int, text: bytes | None) -> None:
        """Take a piece of a command's output."""
        if (before := self._outputs.get(command)) is None:
            return
        hashed, so_far = before
        if hashed is not None and text is not None:
            hashed.update(text)
        self._outputs[command] = (hashed if text is not None else None, so_far + size)

    def finished(self, event: e.CommandFinished) -> None:
        """Compare a command's receipt with its line, its output and its end."""
        said = self._receipt(event.receipt, event.signature)
        output: hashlib._Hash | None
        output, size = self._outputs.pop(event.command, (hashlib.sha256(), 0))
        line = self._lines.get(event.command, None if self._gaps else b"")
        whole = self._begun_at.pop(event.command, 0) == self._gaps  # else some of its output may be withheld
        output = output if whole else None
        self.uncompared += line is None or output is None
        if not isinstance(said, receipt.CommandReceipt) or said.command != event.command:
            raise Mismatch("the receipt is for something else")
        if line is not None and said.line != line:
            raise Mismatch("the device ran another command than the one that is recorded")
        if (whole and said.output_size != size) or (output is not None and said.output != output.digest()):
            raise Mismatch("the recorded output is not what the device sent")
        if (said.exit_code, said.duration_ns) != (event.exit_code, event.duration_ns):
            raise Mismatch("the recorded end is not what the device signed")
        self.missing.discard(event.command)

    def transferred(self, event: e.TransferFinished) -> None:
        """Compare a file's receipt with its path and its content."""
        said = self._receipt(event.receipt, event.signature)
        if not isinstance(said, receipt.TransferReceipt) or said.transfer != event.transfer:
            raise Mismatch("the receipt is for something else")
        path = self._paths.get(event.transfer, None if self._gaps else b"")
        self.uncompared += path is None
        if (path is not None and said.path != path) or (said.content, said.size) != (event.content, event.size):
            raise Mismatch("the file is not what the device signed for")
        self.missing.discard(event.transfer)

    def _receipt(self, data: bytes, signature: bytes) -> receipt.CommandReceipt | receipt.TransferReceipt:
        if not self._holds(lambda key: receipt.holds(key, data, signature)):
            raise Mismatch("the receipt is not signed by the device's key")
        try:
            said = receipt.decode(data)
        except msgspec.DecodeError as error:
            raise Mismatch("the receipt does not decode") from error
        if f"session/{said.session}" != self._stream or self._previous not in (None, said.previous):
            raise Mismatch("the receipt does not follow the one before it")
        self._previous = hashlib.sha256(data).digest()
        self.count += 1
        return said
