"""What tests of backups share: restoring, serving what was restored, and what is in an installation or a backup."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from doors import Server, caisey
from installed import CATALOGUE, RECORD, Installed

New = Callable[[], str]


@contextlib.contextmanager
def served(data: Path) -> Iterator[Server]:
    """Serve a restored folder for a while."""
    server = Server(data)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def put_back(file: Path, to: Installed, *more: str) -> subprocess.CompletedProcess[str]:
    """Run `caisey restore`."""
    database = ["--database", to.database] if to.database else []
    return caisey("restore", str(file), "--data", str(to.data), *database, *more)


def contents(place: Installed) -> list[list[tuple[object, ...]]]:
    """Return every row of record and catalogue."""
    tables = {
        RECORD: ("tenant_key", "stream", "event", "log_leaf", "log_head", "checkpoint"),
        CATALOGUE: ("tenant", "member", "sign_in_link", "session", "device", "plugin_enabled"),
    }
    return [place.run(where, f"SELECT * FROM {name} ORDER BY 1, 2") for where, names in tables.items() for name in names]


def rows_of(content: bytes) -> Iterator[tuple[int, list[bytes | None]]]:
    """Yield what COPY put out: where each row begins, and its fields."""
    at = 19  # after the signature, the flags and an empty extension
    while (count := int.from_bytes(content[at : at + 2], signed=True)) >= 0:
        begin, fields = at, list[bytes | None]()
        at += 2
        for _ in range(count):
            size = int.from_bytes(content[at : at + 4], signed=True)
            at += 4
            fields.append(content[at : at + size] if size >= 0 else None)
            at += max(size, 0)
        yield begin, fields
