"""Tokens that open something: 256 random bits, of which only the SHA-256 is kept."""

import hashlib
import secrets
from typing import Final

PREFIX: Final = "cai_"


def new_token() -> tuple[str, bytes]:
    """Return a token for its holder, and the hash to keep.

    The prefix lets secret scanners find a leaked one, and keeps it from looking like an option on a command line.
    """
    token = f"{PREFIX}{secrets.token_urlsafe(32)}"
    return token, hash_of(token)


def hash_of(token: str) -> bytes:
    """Return what is kept of a token. A fast hash is enough: a token cannot be guessed."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
