"""Enrolment: how a device gets its place. POST {server}/agent/enrol with JSON; the answer is JSON or a problem (RFC 9457)."""

from uuid import UUID

from msgspec import Struct


class Enrol(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The installer's token, and the public half of a key that the device made itself."""

    token: str
    public_key: str  # base64url without padding, 32 raw bytes
    proof: str  # base64url: signature over enrolment_bytes(token, public_key)
    name: str
    system: str = ""
    platform: str = "linux"


class Enrolled(Struct, frozen=True, kw_only=True):
    """Your place. Later connects prove the key; the token is not needed any more."""

    device: UUID
    name: str
    server: str  # the name to expect in each challenge
    tenant: str
    client: str
    link: str  # WebSocket address
    key: str  # the tenant's record key, C2SP vkey


def enrolment_bytes(token: str, public_key: bytes) -> bytes:
    """Return what the device signs to show that it holds the private half."""
    return b"caisey enrolment v1\n" + public_key + token.encode()
