"""Clerk's webhooks: signed by Svix, told at least once and in any order, so that each is only a hint.

Sources: https://docs.svix.com/receiving/verifying-payloads/how-manual, https://clerk.com/docs/webhooks/overview
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from caisey_hookspecs import IncomingRequest, Rejected

TOLERANCE_SECONDS: Final = 300
REMEMBERED_SECONDS: Final = 3 * 86_400  # deliveries are repeated for about a day
LARGEST_ID: Final = 200
_SECONDS: Final = re.compile(r"\d{1,12}")


class Delivery(Struct, frozen=True):
    """A message whose signature holds. `id` is the same each time that it is told."""

    id: str
    sent_at: int  # seconds since 1970
    type: str
    data: dict[str, Any]  # as Clerk has it: each kind has another shape
    instance: str


class _Payload(Struct, frozen=True):
    type: str
    data: dict[str, Any]
    instance_id: str = ""


def key_of(secret: str) -> bytes:
    """Return the key in a signing secret. Raises Rejected for what is none."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 16:
        raise Rejected("This is no webhook signing secret. Copy it again from the endpoint in Clerk’s dashboard: whsec_…")
    return key


def delivered(request: IncomingRequest, key: bytes, now: int) -> Delivery | None:
    """Return the message, or None where the signature, its time or its form is wrong."""
    headers = dict(request.headers)
    identity, sent, signatures = (
        headers.get(f"svix-{name}") or headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not 0 < len(identity) <= LARGEST_ID or _SECONDS.fullmatch(sent) is None or abs(int(sent) - now) > TOLERANCE_SECONDS:
        return None
    wanted = hmac.digest(key, f"{identity}.{sent}.".encode() + request.body, hashlib.sha256)
    ours = base64.b64encode(wanted)
    given = [one.partition(",") for one in signatures.split(" ")[:20]]
    if not any([version == "v1" and hmac.compare_digest(text.encode(), ours) for version, _, text in given]):  # noqa: C419 - all, in the same time
        return None
    try:
        told = msgspec.json.decode(request.body, type=_Payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Delivery(identity, int(sent), told.type, told.data, told.instance_id)


def text_at(data: dict[str, Any], *path: str) -> str:
    """Return the text at a path, or an empty one."""
    found: Any = data
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
