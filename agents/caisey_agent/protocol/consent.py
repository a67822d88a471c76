"""Consent: what the person is asked, what they answer, and the signature over both.

These fields are on disk for ever: add, never rename. The exact bytes are stored and verified; nothing is re-encoded.
"""

import hashlib
from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from caisey_agent.protocol.decoding import decoded


class Scope(StrEnum):
    """What a technician may do. Widening it asks again; the device accepts at most what was set there."""

    LOOK = "look"  # facts about the device, nothing is run
    RUN = "run"  # terminal and commands
    FILES = "files"  # transfer files
    AI = "ai"  # an AI agent may act, under approval
    ADMIN = "admin"  # act as administrator


class ConsentRequest(Struct, frozen=True, kw_only=True, tag="consent-request", tag_field="type"):
    """What the person at the device is shown, word for word. The reason comes beside it, so that it can be withheld or erased."""

    version: int = 1
    session: UUID
    tenant: str  # the MSP's name
    technician: str  # name as shown
    reason: bytes  # `reason_hash` of the words
    scopes: tuple[Scope, ...]
    asked_at: int  # server's clock, UTC microseconds
    duration_seconds: int  # from the moment of the answer
    answer_within_seconds: int  # no answer by then is a no
    nonce: bytes  # 16 bytes, single use
    server: str  # the server's name, as the device knows it


def reason_hash(seed: bytes, reason: str) -> bytes:
    """Return what a request has of its reason: SHA-256(seed ‖ UTF-8); the seed is that of the disclosure of `consent-asked`."""
    return hashlib.sha256(seed + reason.encode()).digest()


Decision = Literal["granted", "denied", "later"]
How = Literal["page", "terminal", "dialog", "policy"]


class ConsentAnswer(Struct, frozen=True, kw_only=True, tag="consent-answer", tag_field="type"):
    """The person's answer. `request` is SHA-256 over the request's exact bytes."""

    version: int = 1
    session: UUID
    request: bytes
    decision: Decision
    scopes: tuple[Scope, ...] = ()  # what was granted: the asked ones or fewer
    duration_seconds: int = 0  # what was granted: the asked time or less
    later_seconds: int = 0  # for "later": when to ask again
    who: str  # operating-system user at the keyboard
    how: How
    at: int  # device's clock, UTC microseconds
    device: UUID


class ConsentWithdrawal(Struct, frozen=True, kw_only=True, tag="consent-withdrawal", tag_field="type"):
    """The person stops the session."""

    version: int = 1
    session: UUID
    who: str
    how: How
    at: int  # device's clock, UTC microseconds
    device: UUID


_CONTEXT = b"caisey consent v1\n"


def signed_bytes(request: bytes, statement: bytes) -> bytes:
    """Return what is signed: a context line, the request's length (8 bytes, big-endian), the request, the statement.

    For a withdrawal, `request` is the request that was granted.
    """
    return _CONTEXT + len(request).to_bytes(8, "big") + request + statement


def sign(key: Ed25519PrivateKey, request: bytes, statement: bytes) -> bytes:
    """Return the device's Ed25519 signature (64 bytes, RFC 8032)."""
    return key.sign(signed_bytes(request, statement))


def holds(key: bytes, request: bytes, statement: bytes, signature: bytes) -> bool:
    """Say whether the signature was made with this public key (32 raw bytes) over exactly these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed_bytes(request, statement))
    except (InvalidSignature, ValueError):
        return False
    return True


_request_decoder = msgspec.msgpack.Decoder(ConsentRequest)
_statement_decoder: msgspec.msgpack.Decoder[ConsentAnswer | ConsentWithdrawal] = msgspec.msgpack.Decoder(
    ConsentAnswer | ConsentWithdrawal
)


def decode_request(data: bytes) -> ConsentRequest:
    """Decode a request. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return decoded(_request_decoder, data)


def decode_statement(data: bytes) -> ConsentAnswer | ConsentWithdrawal:
    """Decode an answer or a withdrawal. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return decoded(_statement_decoder, data)
