"""What an admin enters."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from caisey_hookspecs import Secret

Preset = Literal["entra", "google", "okta", "keycloak", "other"]
Role = Literal["admin", "dispatcher", "senior technician", "technician", "auditor"]


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is in this group has this role and serves these clients."""

    group: Annotated[str, Meta(title="Group", description="Exactly as the provider sends it.", min_length=1, max_length=500)]
    role: Annotated[Role, Meta(title="Role")]
    clients: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
        Meta(title="Clients", description="Names of the clients they serve. None: all clients.", max_length=500),
    ] = ()


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider of one tenant."""

    preset: Annotated[
        Preset, Meta(title="Provider", description="Sets what this provider does in its own way. Other: only what is standard.")
    ] = "other"
    issuer: Annotated[
        str,
        Meta(
            title="Issuer",
            description="The provider’s address, exactly as it calls itself. Google: leave it empty.",
            max_length=500,
            pattern=r"^(https?://[^\s?#]+)?$",
            examples=["https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0"],
        ),
    ] = ""
    client_id: Annotated[
        str, Meta(title="Client id", description="Of Caisey, as registered at the provider.", min_length=1, max_length=500)
    ]
    client_secret: Annotated[Secret | None, Meta(title="Client secret", description="Leave it empty for a public client.")] = (
        None
    )
    button: Annotated[str, Meta(title="Button", description="What the sign-in page shows.", max_length=60)] = ""
    scopes: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$", max_length=100)], ...],
        Meta(title="Scopes", description="openid is always asked for.", max_length=20),
    ] = ("profile", "email")
    groups_claim: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(
            title="Claim with the groups",
            description="A list of keys, from the outside in. Empty: as the provider does it by default.",
            max_length=8,
        ),
    ] = ()
    groups_divided: Annotated[
        bool, Meta(title="Several groups in one text", description="The claim is one text with spaces between the groups.")
    ] = False
    mapping: Annotated[
        tuple[Row, ...],
        Meta(
            title="Groups and roles",
            description="The first row that fits gives the role. Whoever is in none of these groups cannot sign in. "
            "Without rows, admins give the roles here.",
            max_length=200,
        ),
    ] = ()
    join: Annotated[
        bool,
        Meta(title="New members", description="Whoever may sign in becomes a member at the first sign-in."),
    ] = False
    email_domains: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z0-9.-]+\.[a-z]{2,}$", max_length=253)], ...],
        Meta(
            title="E-mail domains",
            description="Only people with a verified address of these domains may sign in, and they may take over the member "
            "who has their address. Empty: everybody whom the provider knows, and nobody takes over a member.",
            max_length=100,
        ),
    ] = ()
    sign_out_there: Annotated[
        bool, Meta(title="Sign out there too", description="Signing out of Caisey signs out at the provider.")
    ] = True
    leeway_seconds: Annotated[
        int, Meta(title="Clock difference", description="Seconds that the two clocks may differ.", ge=0, le=300)
    ] = 60
    further_hosts: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=300)], ...],
        Meta(
            title="Further hosts",
            description="Where the provider’s addresses lie on other hosts than the issuer’s.",
            max_length=10,
        ),
    ] = ()
