"""A relying party of OpenID Connect Core 1.0 on top of `context.http`: what identity plugins have in common.

Own code for the flow, because Authlib's client knows neither RFC 9207 nor logout tokens and cannot use our HTTP client; the
cryptography is joserfc's.
"""

from caisey_openid.claims import Claims, at_path, no_duplicates, texts
from caisey_openid.keys import KeyRing
from caisey_openid.provider import Metadata, Provider
from caisey_openid.relying_party import Client, Known, RelyingParty
from caisey_openid.tokens import Expected, LogoutToken, NotTrusted, id_token, logout_token

__all__ = [
    "Claims",
    "Client",
    "Expected",
    "KeyRing",
    "Known",
    "LogoutToken",
    "Metadata",
    "NotTrusted",
    "Provider",
    "RelyingParty",
    "at_path",
    "id_token",
    "logout_token",
    "no_duplicates",
    "texts",
]
