"""Signed tree heads: C2SP tlog-checkpoint bodies in C2SP signed-note envelopes with Ed25519.

Formats: https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note; Go's golang.org/x/mod/sumdb/note reads them.
"""

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

_ED25519 = b"\x01"
_MARK = "— "


class NotACheckpoint(ValueError):
    """The text is no checkpoint, or its signature does not hold."""


class Checkpoint(Struct, frozen=True):
    """A tree head: which log, how many leaves, which root."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def _key_id(name: str, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key).digest()[:4]


def vkey(name: str, key: bytes) -> str:
    """Return a public key (32 bytes) as a verifier key: name+key id+base64."""
    return f"{name}+{_key_id(name, key).hex()}+{base64.b64encode(_ED25519 + key).decode()}"


def parse_vkey(text: str) -> tuple[str, bytes]:
    """Return name and public key. Raises NotACheckpoint for what is no Ed25519 verifier key."""
    parts = text.strip().split("+", 2)
    try:
        name, key_id, encoded = parts
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise NotACheckpoint("this is no verifier key") from error
    if data[:1] != _ED25519 or len(data) != 33 or _key_id(name, data[1:]).hex() != key_id:
        raise NotACheckpoint("this is no Ed25519 verifier key")
    return name, data[1:]


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """Return the signed note; the key's name is the log's origin."""
    body = checkpoint.body()
    public = key.public_key().public_bytes_raw()
    signature = base64.b64encode(_key_id(checkpoint.origin, public) + key.sign(body.encode())).decode()
    return f"{body}\n{_MARK}{checkpoint.origin} {signature}\n"


def verify(note: str, name: str, key: bytes) -> Checkpoint:
    """Return the checkpoint if the note is signed by this key. Raises NotACheckpoint otherwise; other signatures are ignored."""
    body, divider, signatures = note.partition("\n\n")
    if not divider or not signatures.endswith("\n"):
        raise NotACheckpoint("the note has no signature")
    body += "\n"
    checkpoint = parse(body)
    wanted = _key_id(name, key)
    for line in signatures[:-1].split("\n"):
        if not line.startswith(_MARK):
            raise NotACheckpoint("a signature line is malformed")
        signer, _, encoded = line[len(_MARK) :].rpartition(" ")
        try:
            data = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise NotACheckpoint("a signature is not base64") from error
        if base64.b64encode(data).decode() != encoded:
            raise NotACheckpoint("a signature is not canonical base64")
        if signer == name and data[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(data[4:], body.encode())
            except InvalidSignature as error:
                raise NotACheckpoint("the signature does not hold") from error
            return checkpoint
    raise NotACheckpoint("the note is not signed by this key")


def parse(body: str) -> Checkpoint:
    """Return the checkpoint of a note's body. Raises NotACheckpoint for anything but the canonical form."""
    lines = body.split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise NotACheckpoint("the body is no checkpoint") from error
    checkpoint = Checkpoint(origin, size, root)
    if not origin or len(root) != 32 or checkpoint.body() != body:
        raise NotACheckpoint("the body is no canonical checkpoint")
    return checkpoint
