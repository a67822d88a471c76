"""A provider's keys and tokens, right and wrong ones: signed with joserfc, or put together by hand where no library would."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

ISSUER = "https://id.example.test"
CLIENT = "caisey"
LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}

Key = RSAKey | ECKey | OKPKey


def rsa(kid: str = "one") -> RSAKey:
    """Make an RSA key."""
    return RSAKey.generate_key(2048, {"kid": kid}, private=True)


def public(*keys: Key, **more: Any) -> dict[str, Any]:
    """Return a key set as a provider shows it."""
    return {"keys": [{"use": "sig", **key.as_dict(private=False), **more} for key in keys]}


def encoded(value: Mapping[str, Any] | bytes) -> str:
    """Return a part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(nonce: str = "n", now: float | None = None, **changes: Any) -> dict[str, Any]:
    """Return an ID token's claims; a change to None leaves the claim out."""
    at = int(time.time() if now is None else now)
    made = {"iss": ISSUER, "aud": CLIENT, "sub": "alice", "iat": at, "exp": at + 300, "nonce": nonce, **changes}
    return {name: value for name, value in made.items() if value is not None}


def logout_claims(now: float | None = None, **changes: Any) -> dict[str, Any]:
    """Return a logout token's claims."""
    return claims(now=now, **{"nonce": None, "events": LOGOUT, "jti": "j1", "sid": "s1", **changes})


def signed(key: Key, told: Mapping[str, Any] | bytes, algorithm: str = "RS256", **header: Any) -> str:
    """Return a signed token; a header of None is left out."""
    payload = told if isinstance(told, bytes) else json.dumps(told).encode()
    wanted = {"alg": algorithm, "kid": key.kid, **header}
    protected = {name: value for name, value in wanted.items() if value is not None}
    start = f"{encoded(protected)}.{encoded(payload)}"  # by hand: the library signs no header that it finds odd
    named = "Ed25519" if algorithm == "EdDSA" else algorithm
    maker = jws.JWSRegistry(algorithms=[named]).get_alg(named)
    return f"{start}.{encoded(maker.sign(start.encode(), key))}"


def unsigned(told: Mapping[str, Any], algorithm: str = "none", signature: str = "") -> str:
    """Return a token that says it needs no signature."""
    return f"{encoded({'alg': algorithm})}.{encoded(told)}.{signature}"


def with_shared_secret(secret: bytes, told: Mapping[str, Any], **header: Any) -> str:
    """Return an HS256 token: the attack is to sign with the public key's bytes (RFC 8725, 2.1)."""
    start = f"{encoded({'alg': 'HS256', **header})}.{encoded(told)}"
    return f"{start}.{encoded(hmac.new(secret, start.encode(), hashlib.sha256).digest())}"
