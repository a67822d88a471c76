"""Tokens that open something: 256 random bits, of which only the SHA-256 is kept; and what only a token's holder can read."""

import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX: Final = "cai_"
_NONCE: Final = 12  # bytes


def new_token() -> tuple[str, bytes]:
    """Return a token for its holder, and the hash to keep.

    The prefix lets secret scanners find a leaked one, and keeps it from looking like an option on a command line.
    """
    token = f"{PREFIX}{secrets.token_urlsafe(32)}"
    return token, hash_of(token)


def hash_of(token: str) -> bytes:
    """Return what is kept of a token. A fast hash is enough: a token cannot be guessed."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def seal_under(token: str, purpose: str, secret: bytes) -> bytes:
    """Return a secret as it may be kept beside the token's hash (AES-256-GCM): the database alone cannot be read without the token."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + _key(token, purpose).encrypt(nonce, secret, None)


def unseal_under(token: str, purpose: str, sealed: bytes) -> bytes | None:
    """Return the secret, or None if it was sealed under another token, for another purpose, or was changed."""
    try:
        return _key(token, purpose).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
    except (InvalidTag, ValueError):
        return None


def _key(token: str, purpose: str) -> AESGCM:
    """Derive the key (RFC 5869): the token is random enough, so that nothing slow is needed."""
    return AESGCM(HKDF(SHA256(), 32, None, b"caisey " + purpose.encode()).derive(token.encode(errors="replace")))
