"""Clerk's session tokens, versions 1 and 2 of their claims, verified with keys that are cached.

Sources: https://clerk.com/docs/backend-requests/resources/session-tokens, https://clerk.com/docs/backend-requests/handling/manual-jwt
"""

from typing import Any, Final

from msgspec import Struct

from caisey_openid import Claims, KeyRing, NotTrusted
from caisey_openid.claims import no_duplicates
from caisey_openid.keys import NoKeyFits
from caisey_openid.tokens import header_of

LARGEST: Final = 8192  # characters
LEEWAY_SECONDS: Final = 5
_OTHERS: Final = ("mt_", "oat_", "ak_", "cai_")  # keys and tokens of other kinds
_LATEST: Final = 1 << 53


class SessionToken(Struct, frozen=True, kw_only=True):
    """A person with an active organization. Roles have no prefix, permissions are `feature:permission`."""

    subject: str
    session: str
    organization: str
    role: str
    permissions: frozenset[str]


class Accepted(Struct, frozen=True, kw_only=True):
    """What a token has to say."""

    issuer: str
    organization: str
    origins: tuple[str, ...]
    native: bool
    now: int  # seconds since 1970


def may_be(token: str) -> bool:
    """Say whether a bearer token is one of these at all."""
    return len(token) <= LARGEST and token.count(".") == 2 and not token.startswith(_OTHERS)


async def verified(token: str, keys: KeyRing, accepted: Accepted) -> SessionToken:
    """Return what a token proves. Raises NotTrusted with the rule, for the log, and Unavailable while no keys are known."""
    if not may_be(token):
        raise NotTrusted("no session token")
    header = header_of(token, ("RS256",))
    try:
        claims = no_duplicates(await keys.verify(token, header, f"{accepted.issuer}/.well-known/jwks.json"))
    except NoKeyFits:
        raise NotTrusted("the signature") from None
    except ValueError:
        raise NotTrusted("the claims are no JSON object") from None
    _judge(claims, accepted)
    organization, role, permissions = _organization(claims)
    if organization != accepted.organization:
        raise NotTrusted("the active organization is another one")
    return SessionToken(
        subject=_text(claims, "sub"),
        session=_text(claims, "sid"),
        organization=organization,
        role=role,
        permissions=permissions,
    )


def _judge(claims: Claims, accepted: Accepted) -> None:
    if claims.get("iss") != accepted.issuer:
        raise NotTrusted("the issuer")
    if _time(claims, "exp") <= accepted.now - LEEWAY_SECONDS:
        raise NotTrusted("the token expired")
    if _time(claims, "nbf") > accepted.now + LEEWAY_SECONDS or _time(claims, "iat") > accepted.now + LEEWAY_SECONDS:
        raise NotTrusted("the token is from the future")
    origin = claims.get("azp")
    if origin is None and not accepted.native:
        raise NotTrusted("the token names no origin")
    if origin is not None and origin not in accepted.origins:
        raise NotTrusted("the token is for another origin")
    if claims.get("sts", "active") != "active":
        raise NotTrusted("the sign-in is not complete")
    if claims.get("act") is not None:
        raise NotTrusted("somebody acts in the person's name")


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not value.isprintable():
        raise NotTrusted(f"{name} is missing")
    return value


def _time(claims: Claims, name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LATEST:
        raise NotTrusted(f"{name} is no time")
    return value


def _organization(claims: Claims) -> tuple[str, str, frozenset[str]]:
    """Return id, role and permissions of the active organization, the same for both versions."""
    if claims.get("v") == 2:
        told = claims.get("o")
        if not isinstance(told, dict):
            raise NotTrusted("no organization is active")
        return _text(told, "id"), _text(told, "rol").removeprefix("org:"), permissions_of(claims.get("fea"), told)
    listed = claims.get("org_permissions")
    held = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    found = frozenset(one.removeprefix("org:") for one in held if not one.startswith("org:sys_"))
    if claims.get("org_id") is None:
        raise NotTrusted("no organization is active")
    return _text(claims, "org_id"), _text(claims, "org_role").removeprefix("org:"), found


def permissions_of(features: Any, organization: Claims) -> frozenset[str]:
    """Return the permissions of version 2: the n-th mask is that of the n-th feature, its i-th bit stands for the i-th permission.

    Whether a user's own features count as places is told differently by different libraries: only what both readings grant is.
    """
    names, masks = organization.get("per"), organization.get("fpm")
    if not (isinstance(features, str) and isinstance(names, str) and isinstance(masks, str)):
        return frozenset()
    every = [one.partition(":") for one in features.split(",")]
    ours = [one for one in every if "o" in one[0]]
    try:
        bits = [int(mask) for mask in masks.split(",")]
    except ValueError:
        return frozenset()
    return _granted(every, bits, names.split(",")) & _granted(ours, bits, names.split(","))


def _granted(features: list[tuple[str, str, str]], masks: list[int], names: list[str]) -> frozenset[str]:
    return frozenset(
        f"{feature}:{name}"
        for (scope, _, feature), mask in zip(features, masks, strict=False)
        if "o" in scope and feature
        for bit, name in enumerate(names)
        if mask >> bit & 1 and name
    )
