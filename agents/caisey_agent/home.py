"""The agent's folder: its settings, its key, and what it must remember. Only the agent's account can read it."""

import os
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from caisey_agent.protocol.consent import Scope


class HomeTrouble(Exception):
    """The folder cannot be used; the message says why and what to do."""


class Config(Struct, frozen=True, kw_only=True):
    """What enrolment gave and what the device's owner chose. `scopes` is the most that this device ever accepts."""

    device: UUID
    name: str
    server: str  # the name that each challenge must carry
    tenant: str
    client: str
    link: str
    key: str  # the tenant's record key, C2SP vkey
    account: str = ""  # operating-system account of the person; shells run as it
    prompt: Literal["auto", "page", "terminal", "dialog"] = "auto"
    page_port: int = 0
    scopes: tuple[Scope, ...] = (Scope.LOOK, Scope.RUN, Scope.FILES)
    unattended_scopes: tuple[Scope, ...] = ()  # granted without a prompt: switched on here, never by the server
    shell: str = "bash"
    demonstration: bool = False


def default_folder() -> Path:
    """Return where the agent of this account lives."""
    if os.geteuid() == 0:
        return Path("/var/lib/caisey-agent")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "caisey-agent"


class Home:
    """One agent's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def sessions(self) -> Path:
        """Where sessions are remembered."""
        return self.folder / "sessions"

    def create(self) -> None:
        """Make the folder. Raises HomeTrouble."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.sessions.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise HomeTrouble(f"The folder {self.folder} cannot be made: {error.strerror}.") from error

    def config(self) -> Config:
        """Read the settings. Raises HomeTrouble."""
        path = self.folder / "config.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Config)
        except FileNotFoundError:
            raise HomeTrouble(
                f"{self.folder} holds no enrolled agent. Enrol first: caisey-agent enrol ADDRESS --token TOKEN"
            ) from None
        except (OSError, msgspec.DecodeError) as error:
            raise HomeTrouble(f"{path} cannot be read: {error}") from error

    def enrolled(self) -> bool:
        """Say whether an agent lives here already."""
        return (self.folder / "config.json").exists()

    def save_config(self, config: Config) -> None:
        """Write the settings."""
        write_durably(self.folder / "config.json", msgspec.json.format(msgspec.json.encode(config), indent=2))

    def key(self) -> Ed25519PrivateKey:
        """Read the device's key. Raises HomeTrouble."""
        try:
            return Ed25519PrivateKey.from_private_bytes((self.folder / "device.key").read_bytes())
        except (OSError, ValueError) as error:
            raise HomeTrouble(f"The device's key in {self.folder} cannot be read: {error}. Enrol again.") from error

    def new_key(self) -> Ed25519PrivateKey:
        """Make the device's key; it never leaves this folder."""
        key = Ed25519PrivateKey.generate()
        write_durably(self.folder / "device.key", key.private_bytes_raw())
        return key

    def destroy_key(self) -> None:
        """Forget the key: the device was removed."""
        for name in ("device.key", "config.json", "consent_page"):
            (self.folder / name).unlink(missing_ok=True)

    def next_life(self) -> int:
        """Return a number that rises with each start, so that frame numbers rise over the agent's whole life."""
        path = self.folder / "life"
        life = int(path.read_text()) + 1 if path.exists() else 1
        write_durably(path, str(life).encode())
        return life


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a crash leaves the old one or the new one (write, fsync, rename, fsync of the folder)."""
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
