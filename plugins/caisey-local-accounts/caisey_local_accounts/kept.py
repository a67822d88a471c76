"""What is kept of a person's factors, and the tokens that a sign-in carries from one step to the next."""

import base64
import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from msgspec import Struct

from caisey_hookspecs import Clock, Store, Unavailable

STEP_SECONDS: Final = 300  # from one step of a sign-in to the next
CODES: Final = 10
TRIES: Final = 5


class Authenticator(Struct, frozen=True, kw_only=True):
    """An app that shows codes (RFC 6238). `step` is that of the last code that was taken: each is good once."""

    id: str
    title: str
    secret: str  # base32
    added_at: datetime
    last_used_at: datetime | None = None
    step: int = 0


class Passkey(Struct, frozen=True, kw_only=True):
    """A WebAuthn credential."""

    id: str  # base64url, as browsers name it
    title: str
    public_key: bytes  # COSE
    count: int
    added_at: datetime
    last_used_at: datetime | None = None


class Kept(Struct, frozen=True, kw_only=True):
    """All of one account."""

    handle: bytes  # 32 random bytes by which passkeys know the account
    authenticators: tuple[Authenticator, ...] = ()
    passkeys: tuple[Passkey, ...] = ()
    codes: tuple[bytes, ...] = ()  # SHA-256 of the recovery codes that are left: they cannot be guessed

    @property
    def any(self) -> bool:
        """Say whether the password alone is not enough."""
        return bool(self.authenticators or self.passkeys)


class Shelf:
    """Factors by account, in the plugin's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, subject: str) -> Kept:
        """Return an account's factors."""
        return (await self._read(subject))[0]

    async def _read(self, subject: str) -> tuple[Kept, int]:
        entry = await self._store.get(f"factors/{subject}")
        if entry is None:
            return Kept(handle=secrets.token_bytes(32)), 0
        return msgspec.json.decode(entry.value, type=Kept), entry.version

    async def change(self, subject: str, change: Callable[[Kept], Kept | None]) -> Kept | None:
        """Change them where `change` says how; None, from it and from here: nothing may be changed. Two at once both count."""
        for _ in range(TRIES):
            before, version = await self._read(subject)
            after = change(before)
            if after is None:
                return None
            if await self._store.put(f"factors/{subject}", msgspec.json.encode(after), if_version=version) is not None:
                return after
        raise Unavailable("Somebody else changes this account now. Try again.")

    async def forget(self, subject: str) -> None:
        """Drop all of an account."""
        for passkey in (await self.get(subject)).passkeys:
            await self.forget_passkey(passkey.id)
        await self._store.delete(f"factors/{subject}")

    async def owner(self, passkey: str) -> str | None:
        """Return whose passkey this is."""
        entry = await self._store.get(_passkey_key(passkey))
        return entry.value.decode() if entry is not None else None

    async def name_passkey(self, passkey: str, subject: str) -> bool:
        """Note whose passkey this is; False if it is somebody's already."""
        return await self._store.put(_passkey_key(passkey), subject.encode(), if_version=0) is not None

    async def forget_passkey(self, passkey: str) -> None:
        """A passkey is gone."""
        await self._store.delete(_passkey_key(passkey))


def _passkey_key(passkey: str) -> str:
    return f"passkey/{hashlib.sha256(passkey.encode()).hexdigest()}"


def new_codes() -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Return recovery codes of 80 random bits for the person, and what is kept of them."""
    codes = tuple(base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(CODES))
    return tuple("-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in codes), tuple(map(hash_of, codes))


def hash_of(code: str) -> bytes:
    """Return what is kept of a recovery code, however it was typed."""
    return hashlib.sha256("".join(code.lower().split()).replace("-", "").encode()).digest()


class Steps:
    """Signed tokens: what the last step of a ceremony found out, for five minutes. They hold no secret."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._key = b""

    async def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        while not self._key:
            entry = await self._store.get("steps-key")
            if entry is None:
                await self._store.put("steps-key", secrets.token_bytes(32), if_version=0)
            else:
                self._key = entry.value
        clock = self._clock

        class Signer(TimestampSigner):
            def get_timestamp(self) -> int:
                return int(clock.now().timestamp())

        options = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        return URLSafeTimedSerializer(self._key, salt=purpose, signer=Signer, signer_kwargs=options)

    async def make(self, purpose: str, *said: str) -> str:
        """Return a token that says this; no two are the same."""
        return (await self._serializer(purpose)).dumps([secrets.token_urlsafe(16), *said])

    async def read(self, purpose: str, token: str) -> list[str] | None:
        """Return what a token says, or None for a foreign, changed or old one."""
        said: list[str]
        try:
            _, *said = (await self._serializer(purpose)).loads(token, max_age=STEP_SECONDS)
        except (BadSignature, SignatureExpired, ValueError):
            return None
        return said

    async def use_up(self, token: str) -> bool:
        """Say whether a token was used for the first time."""
        now = int(self._clock.now().timestamp())
        for key in await self._store.keys("used/"):
            if int(key.split("/")[1]) >= now:
                break
            await self._store.delete(key)
        key = f"used/{now + STEP_SECONDS:012}/{hashlib.sha256(token.encode()).hexdigest()}"
        return await self._store.put(key, b"", if_version=0) is not None
