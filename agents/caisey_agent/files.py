"""Files to and from this device: limited, hashed while they move, put in place only when they are complete and right.

An agent that is root opens and places them as the person at the keyboard, so that the system's own rules decide what may be
read and written; with the agent's rights only where the person agreed to administration.
"""

import asyncio
import contextlib
import hashlib
import os
import pwd
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal
from uuid import UUID

import msgspec

from caisey_agent.home import Config
from caisey_agent.protocol import frames as f
from caisey_agent.protocol import receipt

PROGRESS = 256 * 1024  # bytes between two messages of progress; the server waits for them


NO_FILE = "it is no ordinary file"
SHOWN_PATH = 200  # characters of a path in a reason


@contextlib.contextmanager
def acting_as(account: str) -> Iterator[None]:
    """Use the file system as this account for a moment. Nothing may be awaited inside: the whole process acts so."""
    if not account or os.geteuid() != 0:
        yield
        return
    who, group, groups = pwd.getpwnam(account), os.getegid(), os.getgroups()
    os.setgroups(os.getgrouplist(account, who.pw_gid))
    os.setegid(who.pw_gid)
    os.seteuid(who.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= SHOWN_PATH else f"…{text[-SHOWN_PATH:]}"


def _open(path: Path) -> BinaryIO:
    """Open a file to read. A pipe or a device would hold the whole agent, and with it the person's Stop."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, NO_FILE)
    return os.fdopen(descriptor, "rb")


@dataclass
class _Upload:
    session: UUID
    asked: str  # the path as the technician gave it
    path: Path
    partial: Path
    file: BinaryIO
    size: int
    content: bytes
    replace: bool
    seed: bytes
    done: int = 0
    told: int = 0
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class Files:
    """Transfers of this device."""

    def __init__(
        self,
        config: Config,
        send: Callable[[f.ToServer], None],
        send_latest: Callable[[f.Latest], None],
        previous: Callable[[UUID], bytes],
        signed: Callable[[UUID, bytes, Callable[[bytes], f.ToServer]], None],
        account: Callable[[UUID], str],
    ) -> None:
        self._config, self._send, self._send_latest, self._previous, self._signed = config, send, send_latest, previous, signed
        self._account = account  # of a session: as whom files are opened; empty: the agent's own
        self._uploads: dict[UUID, _Upload] = {}
        self._cancelled: set[UUID] = set()
        self._begun: set[UUID] = set()  # in this life of the agent

    def knows(self, transfer: UUID) -> bool:
        """Say whether this life of the agent began a transfer: then its end is told."""
        return transfer in self._begun

    def _place(self, path: str) -> Path:
        """Return where a path leads: relative ones start at the person's home."""
        home = pwd.getpwnam(self._config.account).pw_dir if self._config.account else str(Path.home())
        return Path(home, path[2:] if path.startswith("~/") else path)

    def _fail(self, session: UUID, transfer: UUID, reason: str) -> None:
        self._send(f.TransferFailed(session=session, transfer=transfer, reason=reason))

    def put(self, frame: f.PutFile) -> None:
        """Begin to take a file."""
        self._begun.add(frame.transfer)
        try:
            with acting_as(self._account(frame.session)):
                begun = self._begin(frame)
        except KeyError:
            begun = f"This device has no account {self._config.account}."
        if isinstance(begun, str):
            self._fail(frame.session, frame.transfer, begun)
            return
        self._uploads[frame.transfer] = begun
        if frame.size == 0:
            self._finish(frame.transfer, begun)

    def _begin(self, frame: f.PutFile) -> _Upload | str:
        """Open the partial file beside the one that it will be, or say why not."""
        path = self._place(frame.path)
        if frame.size > f.LARGEST_FILE:
            return "The file is larger than this device takes."
        try:
            found = path.stat()
        except FileNotFoundError:
            found = None
        except OSError as error:
            return f"{_shown(path)} cannot be written: {error.strerror}."
        if found is not None and stat.S_ISDIR(found.st_mode):
            return f"{_shown(path)} is a folder; give a file name too."
        if found is not None and not frame.replace:
            return f"{_shown(path)} exists. Choose “replace”, or another name."
        if found is not None and not stat.S_ISREG(found.st_mode):
            return f"{_shown(path)} cannot be replaced: {NO_FILE}."
        try:
            partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")
        except OSError as error:
            return f"{_shown(path.parent)} cannot be written: {error.strerror}."
        return _Upload(frame.session, frame.path, path, partial, file, frame.size, frame.content, frame.replace, frame.seed)

    def chunk(self, frame: f.FileChunk) -> None:
        """Take a piece, in order."""
        upload = self._uploads.get(frame.transfer)
        if upload is None or upload.session != frame.session or frame.offset != upload.done:
            return
        try:
            upload.file.write(frame.data)
        except OSError as error:
            self._drop(frame.transfer)
            self._fail(frame.session, frame.transfer, f"The file could not be written: {error.strerror}.")
            return
        upload.sha256.update(frame.data)
        upload.done += len(frame.data)
        if upload.done - upload.told >= PROGRESS:
            upload.told = upload.done
            self._send_latest(f.Receiving(session=frame.session, transfer=frame.transfer, size=upload.done))
        if upload.done >= upload.size:
            self._finish(frame.transfer, upload)

    def _finish(self, transfer: UUID, upload: _Upload) -> None:
        if upload.done != upload.size or upload.sha256.digest() != upload.content:
            self._drop(transfer)
            self._fail(upload.session, transfer, "What arrived is not what was announced; nothing was changed.")
            return
        try:
            upload.file.flush()
            os.fsync(upload.file.fileno())
            if self._config.account and os.geteuid() == 0:
                account = pwd.getpwnam(self._config.account)
                os.fchown(upload.file.fileno(), account.pw_uid, account.pw_gid)
            upload.file.close()
            with acting_as(self._account(upload.session)):
                if not upload.replace:
                    os.link(upload.partial, upload.path)  # fails if the name was taken meanwhile
                    upload.partial.unlink()
                else:
                    upload.partial.replace(upload.path)
        except OSError as error:
            self._drop(transfer)
            self._fail(upload.session, transfer, f"The file could not be put in place: {error.strerror}.")
            return
        del self._uploads[transfer]
        self._receipt(upload.session, transfer, "upload", upload.seed + upload.asked.encode(), upload.content, upload.size)

    def _receipt(
        self, session: UUID, transfer: UUID, direction: Literal["upload", "download"], path: bytes, content: bytes, size: int
    ) -> None:
        data = msgspec.msgpack.encode(
            receipt.TransferReceipt(
                session=session,
                transfer=transfer,
                direction=direction,
                path=hashlib.sha256(path).digest(),
                content=content,
                size=size,
                ended_at=time.time_ns() // 1000,
                previous=self._previous(session),
                salt=secrets.token_bytes(16),
            )
        )
        self._signed(
            session,
            data,
            lambda signature: f.TransferEnded(session=session, transfer=transfer, receipt=data, signature=signature),
        )

    async def get(self, frame: f.GetFile) -> None:
        """Send a file, leaving room for other work between two pieces."""
        self._begun.add(frame.transfer)
        try:
            path = self._place(frame.path)
        except KeyError:
            self._fail(frame.session, frame.transfer, f"This device has no account {self._config.account}.")
            return
        try:
            with acting_as(self._account(frame.session)):
                opened = _open(path)
            with opened as file:
                if os.fstat(file.fileno()).st_size > frame.largest:
                    self._fail(frame.session, frame.transfer, f"{_shown(path)} is larger than {frame.largest >> 20} MiB.")
                    return
                sha256, done = hashlib.sha256(), 0
                while piece := file.read(f.CHUNK):
                    if frame.transfer in self._cancelled:
                        self._cancelled.discard(frame.transfer)
                        return
                    done += len(piece)
                    if done > frame.largest:
                        self._fail(frame.session, frame.transfer, f"{_shown(path)} grew past {frame.largest >> 20} MiB.")
                        return
                    sha256.update(piece)
                    self._send(
                        f.FileChunk(session=frame.session, transfer=frame.transfer, offset=done - len(piece), data=piece)
                    )
                    await asyncio.sleep(0)
        except OSError as error:
            self._fail(frame.session, frame.transfer, f"{_shown(path)} cannot be read: {error.strerror}.")
            return
        self._receipt(frame.session, frame.transfer, "download", frame.seed + frame.path.encode(), sha256.digest(), done)

    def tell_latest(self) -> None:
        """Say how far uploads are: what was said on a link that broke is lost, and the server waits for it."""
        for transfer, upload in self._uploads.items():
            self._send_latest(f.Receiving(session=upload.session, transfer=transfer, size=upload.done))

    def cancel(self, transfer: UUID) -> None:
        """Stop a transfer and remove what is there of it."""
        if transfer in self._uploads:
            self._drop(transfer)
        else:
            self._cancelled.add(transfer)

    def end_of(self, session: UUID) -> None:
        """Stop a session's transfers."""
        for transfer, upload in list(self._uploads.items()):
            if upload.session == session:
                self._drop(transfer)

    def _drop(self, transfer: UUID) -> None:
        upload = self._uploads.pop(transfer)
        upload.file.close()
        with acting_as(self._account(upload.session)), contextlib.suppress(OSError):
            upload.partial.unlink(missing_ok=True)
