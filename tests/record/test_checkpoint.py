"""Signed notes: only the canonical form, only under the right key."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from caisey_core.record.checkpoint import Checkpoint, NotACheckpoint, parse_vkey, sign, verify, vkey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
CHECKPOINT = Checkpoint("caisey.example/tenant", 42, bytes(range(32)))
NOTE = sign(CHECKPOINT, KEY)


def test_the_form() -> None:
    """C2SP: body, empty line, em dash, name, base64 of key id and signature."""
    body, _, signature = NOTE.partition("\n\n")
    assert body == "caisey.example/tenant\n42\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert signature.startswith("— caisey.example/tenant ")
    assert verify(NOTE, "caisey.example/tenant", PUBLIC) == CHECKPOINT
    assert parse_vkey(vkey("caisey.example/tenant", PUBLIC)) == ("caisey.example/tenant", PUBLIC)


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(at: int, by: int) -> None:
    """Nothing in a note may change."""
    data = bytearray(NOTE.encode())
    data[at] ^= by
    with pytest.raises((NotACheckpoint, UnicodeDecodeError)):
        verify(data.decode(), CHECKPOINT.origin, PUBLIC)


def test_another_key_does_not_do() -> None:
    """Same name, other key."""
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(NotACheckpoint, match="not signed by this key"):
        verify(NOTE, CHECKPOINT.origin, other)
    with pytest.raises(NotACheckpoint):
        parse_vkey(vkey("a", PUBLIC).replace("a+", "b+"))


def test_others_may_sign_too() -> None:
    """A witness adds its line; ours still counts."""
    witness = Ed25519PrivateKey.generate()
    line = sign(Checkpoint("witness", 42, CHECKPOINT.root), witness).partition("\n\n")[2]
    assert verify(NOTE + line, CHECKPOINT.origin, PUBLIC) == CHECKPOINT
