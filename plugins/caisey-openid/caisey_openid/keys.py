"""A provider's keys (RFC 7517): kept, and asked for again when a token does not fit, but never as often as a stranger likes."""

import asyncio
import re
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from caisey_hookspecs import Clock, Http, Rejected, Unavailable
from caisey_openid.claims import Claims, decoded
from caisey_openid.provider import PATIENCE_SECONDS, read_json

SHORTEST, LONGEST = timedelta(minutes=10), timedelta(hours=24)
BETWEEN: Final = timedelta(seconds=60)  # two requests because of a token that does not fit
MOST_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 8193)
_TYPES: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
ALGORITHMS: Final = frozenset(_TYPES)  # never none, never HS256: our side would take the public key for a shared secret
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])")

Key = RSAKey | ECKey | OKPKey


class NoKeyFits(Exception):
    """No key of the provider made this signature."""


class KeyRing:
    """The keys at one address."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http, self._clock = http, clock
        self._address = ""
        self._keys: list[tuple[Claims, Key]] = []
        self._until: datetime | None = None
        self._asked: datetime | None = None
        self._lock = asyncio.Lock()

    async def verify(self, token: str, header: Claims, address: str) -> bytes:
        """Return the signed bytes of a compact token whose header was judged already; `address` is where the keys are.

        Raises NoKeyFits, also after the keys were asked for again, which an unknown key id and a bad signature both cause: some
        providers keep the id when they change the key. Raises Unavailable while no keys are known.
        """
        await self.refresh(address)
        signed = self._try(token, header)
        if signed is None and await self._refresh(again=True):
            signed = self._try(token, header)
        if signed is None:
            raise NoKeyFits
        return signed

    async def refresh(self, address: str) -> None:
        """Ask for the keys unless those that are kept are new enough. Raises Unavailable while none are known."""
        if address != self._address:
            self._address, self._keys, self._until, self._asked = address, [], None, None
        if self._until is None or self._clock.now() >= self._until:
            await self._refresh(again=False)

    def _try(self, token: str, header: Claims) -> bytes | None:
        algorithm, kid = str(header["alg"]), header.get("kid")
        fitting = [key for told, key in self._keys if _fits(told, algorithm)]
        if kid is not None:
            fitting = [key for told, key in self._keys if _fits(told, algorithm) and told.get("kid") == kid]
        elif len(fitting) != 1:
            return None  # without an id it must be clear which key is meant
        named = "Ed25519" if algorithm == "EdDSA" else algorithm  # the only curve that we take has a name of its own (RFC 9864)
        model = jws.JWSRegistry(algorithms=[named]).get_alg(named)
        start, _, signature = token.rpartition(".")
        for key in fitting:
            try:
                if model.verify(start.encode(), decoded(signature), key):
                    return decoded(start.partition(".")[2])
            except (JoseError, ValueError):
                continue
        return None

    async def _refresh(self, *, again: bool) -> bool:
        """Ask for the keys; `again` because a token did not fit. Returns whether there are new ones."""
        async with self._lock:
            now = self._clock.now()
            if again and self._asked is not None and now < self._asked + BETWEEN:
                return False
            if not again and self._until is not None and now < self._until:
                return True  # somebody else waited for the same answer
            if again:
                self._asked = now
            try:
                keys, kept = await self._fetch()
            except (Unavailable, Rejected):
                if not self._keys:
                    raise
                self._until = now + BETWEEN  # the last good ones, and soon another try
                return False
            self._keys, self._until = keys, now + kept
            return True

    async def _fetch(self) -> tuple[list[tuple[Claims, Key]], timedelta]:
        answer = await self._http.request(
            "GET", self._address, headers={"accept": "application/json"}, timeout_seconds=PATIENCE_SECONDS
        )
        listed = read_json(answer, "its keys").get("keys")
        if not isinstance(listed, list) or len(listed) > MOST_KEYS:
            raise Unavailable("The provider’s keys cannot be read.")
        keys: list[tuple[Claims, Key]] = [
            (one, key) for one in listed if isinstance(one, dict) and (key := _key(one)) is not None
        ]
        if not keys:
            raise Unavailable("The provider shows no key that can be used.")
        age = _MAX_AGE.search(answer.headers.get("cache-control", "").lower())
        kept = timedelta(seconds=int(age.group(1))) if age else SHORTEST
        return keys, min(max(kept, SHORTEST), LONGEST)


def _key(told: dict[str, Any]) -> Key | None:
    """Return a public key that signs, or None for one that is of no use here: others in the set may be."""
    if told.get("use", "sig") != "sig" or "verify" not in told.get("key_ops", ["verify"]):
        return None
    public = {name: value for name, value in told.items() if name in ("kty", "kid", "n", "e", "crv", "x", "y")}
    try:
        match told.get("kty"):
            case "RSA" if _bits(told["n"]) in _RSA_BITS:
                return RSAKey.import_key(public)
            case "EC" if told.get("crv") == "P-256":
                return ECKey.import_key(public)
            case "OKP" if told.get("crv") == "Ed25519":
                return OKPKey.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None


def _bits(modulus: str) -> int:
    return int.from_bytes(decoded(modulus)).bit_length()


def _fits(told: Claims, algorithm: str) -> bool:
    named = told.get("alg")
    return told["kty"] == _TYPES[algorithm] and (
        named is None or named == algorithm or {named, algorithm} == {"EdDSA", "Ed25519"}
    )
