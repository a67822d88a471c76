"""The tenants' signing keys, sealed under the installation's master key (AES-256-GCM)."""

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ENVIRONMENT = "CAISEY_MASTER_KEY"  # 64 hexadecimal digits; with it no key file is made or read
FOLLOWING = "CAISEY_NEXT_MASTER_KEY"  # while it is being replaced
_NONCE = 12


class KeyTrouble(Exception):
    """A key file is missing or does not fit; the message says what to do."""


class MasterKey:
    """Seals small secrets; each sealing is bound to its tenant and purpose.

    While it is being replaced there are two: it seals with the first and opens what either has sealed, so that whatever breaks
    off in between leaves everything readable.
    """

    def __init__(self, key: bytes, other: bytes | None = None) -> None:
        self._keys = (key,) if other is None else (key, other)
        self._aeads = tuple(map(AESGCM, self._keys))
        self.fingerprints = tuple(hashlib.sha256(b"caisey installation\n" + one).digest()[:16] for one in self._keys)

    @property
    def fingerprint(self) -> bytes:
        """Say which installation a database is of."""
        return self.fingerprints[0]

    @property
    def following(self) -> "MasterKey | None":
        """Return the key that is to replace this one, itself opening what this one sealed; None if none is."""
        return MasterKey(self._keys[1], self._keys[0]) if len(self._keys) > 1 else None

    @classmethod
    def create(cls, path: Path, environment: Mapping[str, str] = os.environ) -> "MasterKey":
        """Make a new key file, readable by its owner only, unless the environment has the key. Raises FileExistsError, KeyTrouble."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if ENVIRONMENT in environment:
            return cls(_given(environment, ENVIRONMENT))
        return cls(_make(path))

    @classmethod
    def open(cls, path: Path, environment: Mapping[str, str] = os.environ) -> "MasterKey":
        """Read the key from the environment, or from its file; and the one that is to follow, if there is one. Raises KeyTrouble."""
        if ENVIRONMENT in environment:
            key = _given(environment, ENVIRONMENT)
            return cls(key, _given(environment, FOLLOWING) if FOLLOWING in environment else None)
        following = following_path(path)
        return cls(_read(path), _read(following) if following.exists() else None)

    @classmethod
    def read(cls, path: Path) -> "MasterKey":
        """Read the key from a file and nowhere else. Raises KeyTrouble."""
        return cls(_read(path))

    def seal(self, tenant: UUID, purpose: str, secret: bytes) -> bytes:
        """Return the sealed secret: nonce, then ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aeads[0].encrypt(nonce, secret, _bound(tenant, purpose))

    def unseal(self, tenant: UUID, purpose: str, sealed: bytes) -> bytes:
        """Return the secret. Raises KeyTrouble if it was sealed by another key, for another use, or was changed."""
        for aead in self._aeads:
            try:
                return aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(tenant, purpose))
            except InvalidTag:
                continue
        raise KeyTrouble(f"A secret ({purpose}) was not sealed by this master key, or was changed.")


def prepare_following(path: Path) -> None:
    """Make the key that is to follow the one in a file, beside it, unless it is there. Raises OSError."""
    if not following_path(path).exists():
        _make(following_path(path))


def take_following(path: Path) -> None:
    """Put the key that was to follow in the place of the one in a file, durably: the old one is gone. Raises OSError."""
    following_path(path).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def following_path(path: Path) -> Path:
    """Return where the key lies that is to follow."""
    return path.with_name(f"{path.name}.next")


def _make(path: Path) -> bytes:
    key = secrets.token_bytes(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise KeyTrouble(f"The master key {path} cannot be read ({error.strerror}). Restore it from your backup.") from error
    if len(key) != 32:
        raise KeyTrouble(f"The master key {path} is damaged. Restore it from your backup.")
    return key


def _given(environment: Mapping[str, str], name: str) -> bytes:
    try:
        key = bytes.fromhex(environment[name])
    except ValueError:
        key = b""
    if len(key) != 32:
        raise KeyTrouble(f"{name} is no master key: it has 64 hexadecimal digits (make one: openssl rand -hex 32).")
    return key


def _bound(tenant: UUID, purpose: str) -> bytes:
    return b"caisey " + purpose.encode() + b"\n" + tenant.bytes


SIGNING = "record signing key"


def new_signing_key(master: MasterKey, tenant: UUID) -> tuple[Ed25519PrivateKey, bytes]:
    """Return a tenant's new signing key, and its sealed form to keep."""
    key = Ed25519PrivateKey.generate()
    return key, master.seal(tenant, SIGNING, key.private_bytes_raw())


def unseal_signing_key(master: MasterKey, tenant: UUID, sealed: bytes) -> Ed25519PrivateKey:
    """Return a tenant's signing key. Raises KeyTrouble."""
    return Ed25519PrivateKey.from_private_bytes(master.unseal(tenant, SIGNING, sealed))
