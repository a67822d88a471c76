"""The tenants' signing keys, sealed under the installation's master key (AES-256-GCM)."""

import hashlib
import os
import secrets
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class KeyTrouble(Exception):
    """A key file is missing or does not fit; the message says what to do."""


class MasterKey:
    """Seals small secrets; each sealing is bound to its tenant and purpose."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self.fingerprint = hashlib.sha256(b"caisey installation\n" + key).digest()[:16]  # which installation a database is of

    @classmethod
    def create(cls, path: Path) -> "MasterKey":
        """Make a new key file, readable by its owner only. Raises FileExistsError rather than replace one."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = secrets.token_bytes(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    @classmethod
    def open(cls, path: Path) -> "MasterKey":
        """Read the key file. Raises KeyTrouble."""
        try:
            key = path.read_bytes()
        except OSError as error:
            raise KeyTrouble(
                f"The master key {path} cannot be read ({error.strerror}). Restore it from your backup."
            ) from error
        if len(key) != 32:
            raise KeyTrouble(f"The master key {path} is damaged. Restore it from your backup.")
        return cls(key)

    def seal(self, tenant: UUID, purpose: str, secret: bytes) -> bytes:
        """Return the sealed secret: nonce, then ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret, _bound(tenant, purpose))

    def unseal(self, tenant: UUID, purpose: str, sealed: bytes) -> bytes:
        """Return the secret. Raises KeyTrouble if it was sealed by another key, for another use, or was changed."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(tenant, purpose))
        except InvalidTag as error:
            raise KeyTrouble(f"A secret ({purpose}) was not sealed by this master key, or was changed.") from error


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
