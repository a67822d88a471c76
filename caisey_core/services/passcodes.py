"""Passcodes of shares: argon2id, and the proof in a reader's cookie that they typed the right one."""

import asyncio
import hashlib
import hmac
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from caisey_core.domain.refused import Refused
from caisey_core.services.outcomes import bad_input
from caisey_core.services.sharing import Sharing

SHORTEST: Final = 8  # characters
LONGEST: Final = 200
GOOD_FOR_SECONDS: Final = 12 * 3600  # then a reader types it again
_hasher: Final = PasswordHasher()


def check(passcode: str) -> Refused | None:
    """Refuse a passcode that is easily guessed, or none that a person types."""
    if not SHORTEST <= len(passcode) <= LONGEST:
        return bad_input(
            "passcode", f"A passcode has {SHORTEST} to {LONGEST} characters.", "Choose another, or leave the field empty."
        )
    return None


async def hashed(sharing: Sharing, passcode: str) -> str:
    """Return what is kept of a passcode."""
    async with sharing.hashing:
        return await asyncio.to_thread(_hasher.hash, passcode)


async def right(sharing: Sharing, kept: str, typed: str) -> bool:
    """Say whether this is the passcode."""

    def verify() -> bool:
        try:
            return _hasher.verify(kept, typed)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async with sharing.hashing:
        return len(typed) <= LONGEST and await asyncio.to_thread(verify)


def pass_for(kept: str, token_hash: bytes, now_seconds: int) -> str:
    """Return what a reader's cookie says after the right passcode. It ends with the link and with the passcode."""
    until = now_seconds + GOOD_FOR_SECONDS
    return f"{until}.{_seal(kept, token_hash, until)}"


def holds(kept: str, token_hash: bytes, cookie: str, now_seconds: int) -> bool:
    """Say whether a cookie is one of ours, for this link and this passcode, and not too old."""
    until, _, seal = cookie.partition(".")
    if not until.isascii() or not until.isdigit() or len(until) > 12 or int(until) < now_seconds:
        return False
    return hmac.compare_digest(seal.encode(), _seal(kept, token_hash, int(until)).encode())


def _seal(kept: str, token_hash: bytes, until: int) -> str:
    return hmac.new(kept.encode(), b"caisey share v1\n%d\n" % until + token_hash, hashlib.sha256).hexdigest()
