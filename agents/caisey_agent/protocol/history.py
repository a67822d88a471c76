"""The device as a witness: it remembers the last checkpoint of its tenant's log and checks that the log goes on from there.

Checkpoints are C2SP tlog-checkpoints in signed notes (Ed25519); proofs are those of RFC 9162 section 2.1.4. This is written
beside the server's own code on purpose: a witness does not judge by the code of whom it watches.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

LONGEST_NOTE = 4096  # characters
LONGEST_PROOF = 130  # hashes: more than a log of 2**64 leaves needs
_MARK = "— "

Reason = Literal["signature", "shorter", "fork"]


class NotSigned(ValueError):
    """The text is no checkpoint that the pinned key signed."""


class Key(Struct, frozen=True):
    """The tenant's record key: the log's name, the key's id and the key."""

    name: str
    id: bytes
    key: bytes


class Seen(Struct, frozen=True):
    """A checkpoint whose signature held."""

    size: int
    root: bytes
    note: str


class Doubt(Struct, frozen=True, kw_only=True, tag="doubt", tag_field="type"):
    """A device refuses a history: what it remembers, what it was shown, and why it does not fit.

    These fields are on disk for ever: add, never rename. The exact bytes are stored and verified; nothing is re-encoded.
    """

    version: int = 1
    device: UUID
    remembered: str  # a signed note; empty: nothing yet
    shown: str  # what the server sent, cut at LONGEST_NOTE
    reason: Reason
    at: int  # device's clock, UTC microseconds


def parse_key(vkey: str) -> Key:
    """Return the key of a C2SP verifier key. Raises NotSigned."""
    try:
        name, identity, encoded = vkey.strip().split("+", 2)
        data = base64.b64decode(encoded, validate=True)
        given = bytes.fromhex(identity)
    except ValueError as error:
        raise NotSigned("this is no verifier key") from error
    wanted = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if data[:1] != b"\x01" or len(data) != 33 or given != wanted or not name:
        raise NotSigned("this is no Ed25519 verifier key")
    return Key(name, wanted, data[1:])


def read(note: str, key: Key) -> Seen:
    """Return the checkpoint that the key signed. Raises NotSigned for everything else."""
    body, divider, signatures = note.partition("\n\n")
    lines = body.split("\n")
    if len(note) > LONGEST_NOTE or not divider or len(lines) != 3 or lines[0] != key.name:
        raise NotSigned("this is no checkpoint of this log")
    size, root = lines[1], _decoded(lines[2])
    if not (size.isascii() and size.isdigit()) or len(size) > 19 or str(int(size)) != size or len(root) != 32:
        raise NotSigned("this is no checkpoint")
    for line in signatures.split("\n"):
        signer, _, encoded = line.removeprefix(_MARK).rpartition(" ")
        if line.startswith(_MARK) and signer == key.name and (data := _decoded(encoded))[:4] == key.id:
            try:
                Ed25519PublicKey.from_public_bytes(key.key).verify(data[4:], f"{body}\n".encode())
            except InvalidSignature as error:
                raise NotSigned("the signature does not hold") from error
            return Seen(int(size), root, note)
    raise NotSigned("it is not signed by the key that this device knows")


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotSigned("this is no base64") from error
    if base64.b64encode(data).decode() != text:
        raise NotSigned("this is no canonical base64")
    return data


def continues(old: Seen, new: Seen, proof: Sequence[bytes]) -> bool:
    """Say whether the new log begins with all that the old one had (RFC 9162 section 2.1.4.2)."""
    if old.size == new.size:
        return old.root == new.root
    if old.size == 0:
        return True
    if old.size > new.size or not 0 < len(proof) <= LONGEST_PROOF or any(len(node) != 32 for node in proof):
        return False
    nodes = list(proof) if old.size & (old.size - 1) else [old.root, *proof]
    old_at, new_at = old.size - 1, new.size - 1
    while old_at & 1:
        old_at, new_at = old_at >> 1, new_at >> 1
    old_root = new_root = nodes[0]
    for node in nodes[1:]:
        if new_at == 0:
            return False
        if old_at & 1 or old_at == new_at:
            old_root, new_root = _pair(node, old_root), _pair(node, new_root)
            while old_at and not old_at & 1:
                old_at, new_at = old_at >> 1, new_at >> 1
        else:
            new_root = _pair(new_root, node)
        old_at, new_at = old_at >> 1, new_at >> 1
    return new_at == 0 and (old_root, new_root) == (old.root, new.root)


def _pair(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


_CONTEXT = b"caisey doubt v1\n"


def sign(key: Ed25519PrivateKey, doubt: bytes) -> bytes:
    """Return the device's Ed25519 signature (64 bytes) over the doubt's exact bytes."""
    return key.sign(_CONTEXT + doubt)


def holds(key: bytes, doubt: bytes, signature: bytes) -> bool:
    """Say whether the signature was made with this public key (32 raw bytes) over exactly these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _CONTEXT + doubt)
    except (InvalidSignature, ValueError):
        return False
    return True


_decoder = msgspec.msgpack.Decoder(Doubt)


def decode(data: bytes) -> Doubt:
    """Decode a doubt. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return _decoder.decode(data)
