"""The rules for ID tokens (OpenID Connect Core 1.0, 3.1.3.7) and logout tokens (Back-Channel Logout 1.0, 2.6), and RFC 8725."""

import base64
import hashlib
import hmac
from typing import Any, Final, Literal

from msgspec import Struct

from caisey_openid.claims import Claims, decoded, no_duplicates
from caisey_openid.keys import ALGORITHMS, KeyRing, NoKeyFits

LARGEST_TOKEN: Final = 64 * 1024  # characters; a person in 200 groups has a token of about 12 KiB
OLDEST_SECONDS: Final = 600  # an ID token's age at sign-in
OLDEST_LOGOUT_SECONDS: Final = 120  # a logout token's age where it does not say when it ends
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST_SUBJECT: Final = 255  # characters, Core 2
_LATEST: Final = 1 << 53
_HASHES: Final = {"RS256": "sha256", "PS256": "sha256", "ES256": "sha256", "EdDSA": "sha512", "Ed25519": "sha512"}


class NotTrusted(Exception):
    """A token that breaks a rule; the words name the rule, for the log."""


class NotProvedAnew(NotTrusted):
    """The person was to prove again who they are, and the provider does not say that they did."""


class Expected(Struct, frozen=True, kw_only=True):
    """What a token of this sign-in has to say. `algorithms` are the provider's own, empty if it does not tell."""

    issuer: str
    client_id: str
    now: int  # seconds since 1970
    leeway_seconds: int
    algorithms: tuple[str, ...] = ()
    trusted_audiences: tuple[str, ...] = ()


class LogoutToken(Struct, frozen=True, kw_only=True):
    """A provider's word that a sign-in, or all of a person's, ended."""

    jti: str
    iat: int
    sub: str = ""
    sid: str = ""


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise NotTrusted(rule)


def header_of(token: str, algorithms: tuple[str, ...] = ()) -> Claims:
    """Return a compact token's header if we take such tokens at all. Raises NotTrusted."""
    _require(0 < len(token) <= LARGEST_TOKEN and token.isascii(), "the token’s size")
    parts = token.split(".")
    _require(len(parts) == 3 and all(parts), "a signed token has three parts")
    try:
        header = no_duplicates(decoded(parts[0]))
    except ValueError:
        raise NotTrusted("the token’s header") from None
    allowed = ALGORITHMS & set(algorithms) if algorithms else ALGORITHMS
    _require(header.get("alg") in allowed, "the token’s algorithm")
    _require("crit" not in header, "extensions that must be understood")
    _require(header.get("kid") is None or isinstance(header["kid"], str), "the key’s id")
    return header


async def _signed(token: str, header: Claims, keys: KeyRing, jwks_uri: str) -> Claims:
    try:
        return no_duplicates(await keys.verify(token, header, jwks_uri))
    except NoKeyFits:
        raise NotTrusted("the token’s signature") from None
    except ValueError:
        raise NotTrusted("the token’s claims are no JSON object") from None


async def id_token(
    token: str,
    keys: KeyRing,
    jwks_uri: str,
    expected: Expected,
    *,
    nonce: str,
    access_token: str = "",  # there is none
    proved_after: int | None = None,
) -> Claims:
    """Return the claims of an ID token that keeps every rule. Raises NotTrusted, and Unavailable while no keys are known.

    `proved_after` (seconds since 1970) is given where the person was to prove anew who they are.
    """
    header = header_of(token, expected.algorithms)
    kind = header.get("typ", "JWT")
    _require(isinstance(kind, str) and kind.lower() in ("jwt", "application/jwt"), "another kind of token")
    claims = await _signed(token, header, keys, jwks_uri)
    _common(claims, expected)
    _require("events" not in claims, "a logout token is no ID token")
    _require(claims.get("token_use", "id") == "id", "an access token is no ID token")
    issued = _time(claims, "iat")
    _require(issued >= expected.now - OLDEST_SECONDS - expected.leeway_seconds, "the token is too old for a sign-in")
    _require(_time(claims, "exp") > expected.now - expected.leeway_seconds, "the token expired")
    told = claims.get("nonce")
    _require(isinstance(told, str) and hmac.compare_digest(told.encode(), nonce.encode()), "the nonce")
    _subject(claims.get("sub"))
    if "at_hash" in claims:
        _require(claims["at_hash"] == _half_hash(str(header["alg"]), access_token), "the access token’s hash")
    if proved_after is not None:
        proved = claims.get("auth_time")
        if not _is_time(proved) or int(proved or 0) < proved_after - expected.leeway_seconds:
            raise NotProvedAnew("the person did not sign in anew")
    return claims


async def logout_token(token: str, keys: KeyRing, jwks_uri: str, expected: Expected) -> LogoutToken:
    """Return what a logout token that keeps every rule says. Whether it came before is for the caller. Raises as `id_token`."""
    header = header_of(token, expected.algorithms)
    kind = header.get("typ", "logout+jwt")
    _require(isinstance(kind, str) and kind.lower() in ("logout+jwt", "jwt"), "another kind of token")
    claims = await _signed(token, header, keys, jwks_uri)
    _common(claims, expected)
    events = claims.get("events")
    _require(isinstance(events, dict) and isinstance(events.get(LOGOUT_EVENT), dict), "the event is no logout")
    _require("nonce" not in claims, "an ID token is no logout token")
    issued = _time(claims, "iat")
    oldest = OLDEST_LOGOUT_SECONDS if "exp" not in claims else OLDEST_SECONDS
    _require(issued >= expected.now - oldest - expected.leeway_seconds, "the token is too old")
    if "exp" in claims:
        _require(_time(claims, "exp") > expected.now - expected.leeway_seconds, "the token expired")
    jti, sub, sid = claims.get("jti"), claims.get("sub"), claims.get("sid")
    _require(isinstance(jti, str) and 0 < len(jti) <= 1000, "the token’s id")
    _require(sub is not None or sid is not None, "neither a person nor a session")
    if sub is not None:
        _subject(sub)
    _require(sid is None or (isinstance(sid, str) and 0 < len(sid) <= 1000), "the session’s id")
    return LogoutToken(jti=str(jti), iat=issued, sub=sub or "", sid=sid or "")


def _common(claims: Claims, expected: Expected) -> None:
    _require(claims.get("iss") == expected.issuer, "the issuer")
    audience: Any = claims.get("aud")
    several: list[Any] = audience if isinstance(audience, list) else [audience]
    _require(bool(several) and all(isinstance(one, str) for one in several), "the audience")
    _require(expected.client_id in several, "the token is for somebody else")
    _require(set(several) <= {expected.client_id, *expected.trusted_audiences}, "the token is for others as well")
    if len(several) > 1 or "azp" in claims:
        _require(claims.get("azp") == expected.client_id, "the authorized party")
    _require(_time(claims, "iat") <= expected.now + expected.leeway_seconds, "the token is from the future")
    if "nbf" in claims:
        _require(_time(claims, "nbf") <= expected.now + expected.leeway_seconds, "the token is not valid yet")


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LATEST


def _time(claims: Claims, name: Literal["iat", "exp", "nbf"]) -> int:
    value = claims.get(name)
    _require(_is_time(value), f"{name} is no time")
    return int(value or 0)


def _subject(value: object) -> None:
    _require(isinstance(value, str) and 0 < len(value) <= _LONGEST_SUBJECT and value.isprintable(), "the subject")


def _half_hash(algorithm: str, access_token: str) -> str:
    digest = hashlib.new(_HASHES[algorithm], access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
