"""Frames on their way to the server, kept until it has them: in memory, and on disk so that kill -9 loses nothing that was told.

Each frame is appended to the file without fsync: the page cache survives the death of the process. The file is emptied when
everything in it was confirmed. Past the limit the shell is read no further, so nothing is ever dropped. On a full disk frames
wait in memory alone, until all of them were confirmed.
"""

import contextlib
import os
from collections import deque
from pathlib import Path

from caisey_agent.protocol import frames as f

LIMIT = 64 << 20  # bytes that may wait
FULL = LIMIT // 2  # above this the shell is paused
LIFE_BITS = 40


class Spool:
    """Numbers rise over the agent's whole life: life << 40 | n."""

    def __init__(self, path: Path, life: int) -> None:
        self._number = self._base = life << LIFE_BITS
        self._waiting: deque[tuple[int, bytes]] = deque()
        self.size = 0
        self._whole = True  # the file has everything that waits
        self._load(path)
        self._file = path.open("ab", buffering=0)

    def _load(self, path: Path) -> None:
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            return
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            number, size = int.from_bytes(data[at : at + 8], "big"), int.from_bytes(data[at + 8 : at + 12], "big")
            if at + 12 + size > len(data):
                break  # the process died in this write
            self._waiting.append((number, data[at + 12 : at + 12 + size]))
            self.size += size
            at += 12 + size
        if at < len(data):
            os.truncate(path, at)

    def put(self, frame: f.ToServer) -> bytes:
        """Number and keep a frame; returns the bytes to send now."""
        self._number += 1
        data = f.encode(f.NumberedToServer(number=self._number, frame=frame))
        self._keep(self._number.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data)
        self._waiting.append((self._number, data))
        self.size += len(data)
        return data

    def _keep(self, data: bytes) -> None:
        """Append to the file: all of it, or nothing from then on, so that what is there can be read."""
        if self._whole:
            end = self._file.seek(0, os.SEEK_END)
            try:
                self._whole = self._file.write(data) == len(data)
            except OSError:
                self._whole = False
            if not self._whole:
                self._file.truncate(end)

    def rise_above(self, received: int) -> None:
        """At the first welcome of this life: what the server has beyond our numbers came from a copy of this folder.

        So it is when the folder was restored from a backup or a snapshot. Frames of this life get new numbers, or the server
        would take them for repetitions.
        """
        if received <= self._base:
            return
        waiting, self._waiting, self._number = self._waiting, deque(), received
        self._file.truncate(0)
        self._whole = True
        for number, data in waiting:
            if number > self._base:
                numbered = f.decode_from_agent(data)
                assert isinstance(numbered, f.NumberedToServer)
                self.size -= len(data)
                self.put(numbered.frame)

    def confirmed(self, number: int) -> None:
        """Forget everything up to this number."""
        while self._waiting and self._waiting[0][0] <= number:
            self.size -= len(self._waiting.popleft()[1])
        if not self._waiting:
            self._file.truncate(0)
            self._whole = True

    def waiting(self) -> list[bytes]:
        """Return what the server does not have yet, in order."""
        return [data for _, data in self._waiting]

    def sync(self) -> None:
        """Make what was put durable, also against a power cut."""
        with contextlib.suppress(OSError):  # a full disk: the frames are in memory
            os.fdatasync(self._file.fileno())

    def frames(self) -> list[f.ToServer]:
        """Return what waits, in order."""
        found = []
        for _, data in self._waiting:
            numbered = f.decode_from_agent(data)
            assert isinstance(numbered, f.NumberedToServer)
            found.append(numbered.frame)
        return found

    @property
    def full(self) -> bool:
        """Say whether producers should pause."""
        return self.size > FULL

    def close(self) -> None:
        """Close the file."""
        self._file.close()
