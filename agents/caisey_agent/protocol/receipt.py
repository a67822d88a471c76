"""Receipts: what the device ran or carried, what came out, when; signed and chained, so that the server cannot invent one.

These fields are on disk for ever: add, never rename. The exact bytes are stored and verified; nothing is re-encoded. Hashes of
texts begin with the seed of the text's disclosure (32 bytes): when that is erased or withheld, nobody can try words until they fit.
"""

from typing import Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from caisey_agent.protocol.decoding import decoded

NO_RECEIPT = bytes(32)  # "previous" of a session's first receipt


class CommandReceipt(Struct, frozen=True, kw_only=True, tag="command", tag_field="type"):
    """One recorded command as the device executed it."""

    version: int = 1
    session: UUID
    command: UUID
    line: bytes  # SHA-256(seed ‖ the command's bytes as executed); the seed is that of the command's disclosure
    shell: str
    account: str  # operating-system account that it ran as
    started_at: int  # device's clock, UTC microseconds
    duration_ns: int
    exit_code: int | None  # None: the shell ended before it could say
    output: bytes  # SHA-256(seed ‖ the output as the device sent it)
    output_size: int  # bytes
    previous: bytes  # SHA-256 of the session's previous receipt, or NO_RECEIPT
    salt: bytes = b""  # 16 random bytes: who sees only the next receipt's `previous` cannot try words until they fit


class TransferReceipt(Struct, frozen=True, kw_only=True, tag="transfer", tag_field="type"):
    """One file that went to or came from the device."""

    version: int = 1
    session: UUID
    transfer: UUID
    direction: Literal["upload", "download"]
    path: bytes  # SHA-256(seed ‖ the path's UTF-8 bytes)
    content: bytes  # SHA-256 of the file
    size: int  # bytes
    ended_at: int  # device's clock, UTC microseconds
    previous: bytes
    salt: bytes = b""


_CONTEXT = b"caisey receipt v1\n"


def sign(key: Ed25519PrivateKey, receipt: bytes) -> bytes:
    """Return the device's Ed25519 signature (64 bytes) over the receipt's exact bytes."""
    return key.sign(_CONTEXT + receipt)


def holds(key: bytes, receipt: bytes, signature: bytes) -> bool:
    """Say whether the signature was made with this public key (32 raw bytes) over exactly these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _CONTEXT + receipt)
    except (InvalidSignature, ValueError):
        return False
    return True


_decoder: msgspec.msgpack.Decoder[CommandReceipt | TransferReceipt] = msgspec.msgpack.Decoder(CommandReceipt | TransferReceipt)


def decode(data: bytes) -> CommandReceipt | TransferReceipt:
    """Decode a receipt. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return decoded(_decoder, data)
