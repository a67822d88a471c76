"""What providers do in their own way, each from the vendor's documentation."""

import re
from typing import Any, Final

from msgspec import Struct

from caisey_hookspecs import Rejected
from caisey_oidc.settings import Preset, Settings
from caisey_openid import Claims

GOOGLE: Final = "https://accounts.google.com"
_ENTRA: Final = re.compile(
    r"https://login\.(microsoftonline\.com|microsoftonline\.us|partner\.microsoftonline\.cn)"
    r"/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/v2\.0"
)


class _Ways(Struct, frozen=True):
    groups: tuple[str, ...]
    hosts: tuple[str, ...] = ()


_WAYS: Final[dict[Preset, _Ways]] = {
    "entra": _Ways(("roles",), ("graph.microsoft.com",)),  # `groups` are object ids, and missing above 200 of them
    "google": _Ways(("groups",), ("oauth2.googleapis.com", "www.googleapis.com", "openidconnect.googleapis.com")),
    "okta": _Ways(("groups",)),
    "keycloak": _Ways(("groups",)),
    "other": _Ways(("groups",)),
}


def issuer_of(settings: Settings) -> str:
    """Return the issuer. Raises Rejected for one with which a preset is not safe, or none."""
    issuer = settings.issuer or (GOOGLE if settings.preset == "google" else "")
    if not issuer:
        raise Rejected("The issuer is missing. Enter the provider’s address.")
    if settings.preset == "entra" and not _ENTRA.fullmatch(issuer):
        raise Rejected(
            "For Entra ID the issuer names your directory: https://login.microsoftonline.com/<directory (tenant) id>/v2.0, "
            "with the id in lower case. With common, organizations or consumers anybody’s directory could sign in."
        )
    if settings.preset == "google" and issuer != GOOGLE:
        raise Rejected(f"For Google the issuer is {GOOGLE}. Leave it empty.")
    return issuer


def hosts_of(settings: Any) -> tuple[str, ...]:
    """Return what a tenant's settings let the plugin reach."""
    assert isinstance(settings, Settings)
    issuer = settings.issuer or (GOOGLE if settings.preset == "google" else "")
    own = (issuer,) if issuer else ()
    return (*own, *_WAYS[settings.preset].hosts, *settings.further_hosts)


def groups_path(settings: Settings) -> tuple[str, ...]:
    """Return where the groups are."""
    return settings.groups_claim or _WAYS[settings.preset].groups


def parameters(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return what the provider is asked beside the standard. Google's `hd` is a hint only: the claim is what counts."""
    if settings.preset == "google" and len(settings.email_domains) == 1:
        return (("hd", settings.email_domains[0]),)
    return ()


def verified_email(settings: Settings, claims: Claims) -> str:
    """Return the person's address in lower case if the provider vouches for it, or an empty text.

    Entra ID has no `email_verified`: any directory's admin can write any address, unless `xms_edov` says that the domain's
    owner verified it.
    """
    email = claims.get("email")
    vouched = claims.get("xms_edov" if settings.preset == "entra" else "email_verified")
    if vouched is not True or not isinstance(email, str) or not 3 <= len(email) <= 254 or email.count("@") != 1:
        return ""
    return email.lower() if email.isprintable() and " " not in email and not email.startswith("@") else ""


def domain_of(settings: Settings, claims: Claims) -> str:
    """Return the domain that the person belongs to, or an empty text.

    Google: an address of any domain can belong to a private account; only `hd` says that the domain's owner manages it.
    """
    if settings.preset == "google":
        hosted = claims.get("hd")
        return hosted.lower() if isinstance(hosted, str) else ""
    return verified_email(settings, claims).rpartition("@")[2]


def trouble_with(settings: Settings, claims: Claims) -> str:
    """Return what is wrong with this provider's claims, in words for the person, or an empty text."""
    if settings.preset != "entra":
        return ""
    directory = _ENTRA.fullmatch(str(claims.get("iss")))
    if directory is None or claims.get("tid", directory.group(2)) != directory.group(2):
        return "Your account belongs to another directory."
    left_out = claims.get("_claim_names")
    if settings.mapping and isinstance(left_out, dict) and groups_path(settings)[0] in left_out:
        return "Your account is in so many groups that Microsoft leaves them out. An admin should map app roles instead."
    return ""
