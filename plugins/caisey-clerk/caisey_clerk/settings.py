"""What an admin enters, and which addresses follow from it."""

import base64
import binascii
import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from caisey_hookspecs import Rejected, Secret

Role = Literal["admin", "dispatcher", "senior technician", "technician", "auditor"]
BACKEND: Final = "https://api.clerk.com/v1"
_HOST: Final = re.compile(r"([a-z0-9-]+(?:\.[a-z0-9-]+)+)\$")
_Address = Annotated[str, Meta(max_length=300, pattern=r"^(https?://[^\s?#]+)?$")]


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Members of the organization with this role have that role here and serve these clients."""

    clerk_role: Annotated[
        str,
        Meta(title="Role at Clerk", description="Its key: admin, member, or one of your own.", pattern=r"^(org:)?[a-z0-9_]+$"),
    ]
    role: Annotated[Role, Meta(title="Role here")]
    clients: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
        Meta(title="Clients", description="Names of the clients they serve. None: all clients.", max_length=500),
    ] = ()


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One organization of one Clerk instance."""

    publishable_key: Annotated[
        str,
        Meta(
            title="Publishable key",
            description="From the dashboard, API keys. It names your instance.",
            pattern=r"^pk_(test|live)_[A-Za-z0-9+/=_-]+$",
            max_length=300,
        ),
    ]
    secret_key: Annotated[Secret, Meta(title="Secret key", description="From the same page; reads memberships.")]
    client_id: Annotated[
        str, Meta(title="OAuth client id", description="Of the OAuth application for Caisey.", min_length=1, max_length=200)
    ]
    client_secret: Annotated[Secret | None, Meta(title="OAuth client secret", description="Empty for a public client.")] = None
    organization: Annotated[
        str,
        Meta(
            title="Organization", description="The id of the organization that is this company.", pattern=r"^org_[A-Za-z0-9]+$"
        ),
    ]
    mapping: Annotated[
        tuple[Row, ...],
        Meta(title="Roles", description="Whoever has none of these roles cannot sign in.", min_length=1, max_length=100),
    ]
    join: Annotated[
        bool, Meta(title="New members", description="Who belongs to the organization becomes a member at the first sign-in.")
    ] = True
    origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://[^\s/]+$", max_length=200)], ...],
        Meta(
            title="Origins",
            description="Web addresses of your own applications whose session tokens may call the API. None: no session tokens.",
            max_length=20,
        ),
    ] = ()
    native: Annotated[
        bool, Meta(title="Native applications", description="Take session tokens that name no origin as well.")
    ] = False
    webhook_secret: Annotated[
        Secret | None, Meta(title="Webhook signing secret", description="Of the endpoint in the dashboard: whsec_…")
    ] = None
    instance: Annotated[
        str, Meta(title="Instance id", description="ins_…; webhooks of others are refused.", pattern=r"^(ins_[A-Za-z0-9]+)?$")
    ] = ""
    api_version: Annotated[
        str, Meta(title="API version", description="Of the Backend API.", pattern=r"^\d{4}-\d{2}-\d{2}$")
    ] = "2025-11-10"
    frontend_api: Annotated[
        _Address, Meta(title="Frontend API address", description="Only where a proxy stands before it; else the key tells it.")
    ] = ""
    backend_api: Annotated[_Address, Meta(title="Backend API address", description="Only where a proxy stands before it.")] = ""


def issuer_of(settings: Settings) -> str:
    """Return the Frontend API's address, which is the issuer of all tokens. Raises Rejected for a key that holds none."""
    if settings.frontend_api:
        return settings.frontend_api.rstrip("/")
    _, _, packed = settings.publishable_key.split("_", 2)
    try:
        host = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        host = ""
    if (found := _HOST.fullmatch(host)) is None:
        raise Rejected("The publishable key holds no address. Copy it again from Clerk’s dashboard.")
    return f"https://{found[1]}"


def backend_of(settings: Settings) -> str:
    """Return the Backend API's address."""
    return settings.backend_api.rstrip("/") or BACKEND


def hosts_of(settings: Settings) -> tuple[str, ...]:
    """Return the hosts that this instance needs."""
    return tuple(dict.fromkeys(urlsplit(address).netloc for address in (issuer_of(settings), backend_of(settings))))
