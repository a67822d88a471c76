"""The plugins of these tests: a notifier with every kind of setting whose check does what a setting says, and one that is broken."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SMTP = """
import asyncio
import enum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from caisey_hookspecs import Check, Context, Delivery, Notice, Notifier, PluginInfo, Rejected, Secret, Unavailable, hookimpl


class Day(enum.Enum):
    MONDAY = "monday"
    FRIDAY = "friday"


class Account(Struct, frozen=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(title="User name", min_length=2, max_length=40)]
    password: Annotated[Secret, Meta(title="Password")]


class Proxy(Struct, frozen=True):
    host: Annotated[str, Meta(title="Proxy host", min_length=1)]
    port: Annotated[int, Meta(title="Proxy port", ge=1, le=65535)] = 3128


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    server: Annotated[str, Meta(title="Mail server", description="Its host name.", min_length=1, max_length=100, examples=["mail.example.com"])]
    token: Annotated[Secret, Meta(title="Token", description="From your provider's page.")]
    answers: Annotated[Literal["works", "wrong", "rejects", "away", "fails", "hangs"], Meta(title="What the server does")] = "works"
    port: Annotated[int, Meta(title="Port", ge=1, le=65535)] = 587
    tls: Annotated[bool, Meta(title="Encrypt the connection")] = True
    footer: Annotated[str, Meta(title="Footer", extra_json_schema={"format": "multi-line"})] = ""
    spare: Annotated[Secret | None, Meta(title="Spare token")] = None
    copies: Annotated[tuple[str, ...], Meta(title="Copies to", max_length=5)] = ()
    days: Annotated[frozenset[Day], Meta(title="Days")] = frozenset()
    proxy: Annotated[Proxy | None, Meta(title="Proxy")] = None
    accounts: Annotated[tuple[Account, ...], Meta(title="Accounts")] = ()


class Smtp(Notifier):
    def __init__(self, context: Context[Settings]) -> None:
        self._settings, self._store = context.settings, context.store

    async def deliver(self, notice: Notice) -> Delivery:
        if self._settings.answers == "fails":
            raise ValueError(f"cannot deliver with {self._settings.token.reveal()}")
        await self._store.put(f"delivered/{self._settings.server}", notice.title.encode())
        return Delivery(delivered=True)

    async def check(self) -> Check:
        token = self._settings.token.reveal()
        match self._settings.answers:
            case "wrong":
                return Check(False, f"The server does not take the token {token}.")
            case "rejects":
                raise Rejected(f"The token {token} was revoked.")
            case "away":
                raise Unavailable(f"{self._settings.server} does not answer (token {token}).")
            case "fails":
                raise ValueError(f"broken inside with {token}")
            case "hangs":
                await asyncio.sleep(3600)
        return Check(True, f"{self._settings.server} took the token.")


@hookimpl
def caisey_plugin() -> PluginInfo:
    return PluginInfo(name="smtp", title="Mail", version="1.0", kinds=("notifier",), settings=Settings, documentation="https://docs.example.com/smtp")


@hookimpl
def caisey_notifier(context: Context[Settings]) -> Notifier:
    return Smtp(context)
"""
BROKEN = "raise ImportError('its library is missing')"


def install(folder: Path, name: str, source: str) -> None:
    """Put a distribution there: a module, and its metadata with the entry point."""
    module = f"test_{name.replace('-', '_')}"
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-0.0.1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")
    (info / "entry_points.txt").write_text(f"[caisey.plugins]\n{name} = {module}\n")


@contextmanager
def installed(folder: Path) -> Iterator[Path]:
    """Install them where every Python that is started meanwhile finds them."""
    install(folder, "smtp", SMTP)
    install(folder, "broken", BROKEN)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(folder) + (os.pathsep + before if before else "")
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
