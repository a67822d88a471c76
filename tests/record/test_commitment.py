"""Salted commitments: any line can be shown or withheld later, none can be changed."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from caisey_core.record.commitment import LONGEST_PIECE, Disclosure, commit, holds, lines_of
from caisey_core.record.merkle import leaf_hash, root_of

texts = st.lists(st.binary(max_size=300), max_size=4)
triples = lambda made: [(one.root, one.lines, one.size) for one in made]  # noqa: E731


@given(st.binary(max_size=20_000))
def test_lines_are_the_text(text: bytes) -> None:
    """Cutting loses nothing and makes no piece too long."""
    lines = lines_of(text)
    assert b"".join(lines) == text
    assert all(0 < len(line) <= LONGEST_PIECE for line in lines)


def test_the_format_is_as_documented() -> None:
    """Salts from SHAKE-256 of the seed, numbered over all texts; RFC 6962 over the salted lines."""
    seed = bytes(range(32))
    made, disclosed = commit([b"one\ntwo", b"three"], seed)
    salts = hashlib.shake_256(seed).digest(48)
    leaves = [leaf_hash(salts[:16] + b"one\n"), leaf_hash(salts[16:32] + b"two")]
    assert made[0].root == root_of(leaves)
    assert made[1].root == leaf_hash(salts[32:] + b"three")
    assert (made[0].lines, made[0].size, made[1].lines, made[1].size) == (2, 7, 1, 5)
    assert disclosed == Disclosure(seed, (b"one\ntwo", b"three"))


@given(texts, st.data())
def test_only_the_very_text_holds(said: list[bytes], data: st.DataObject) -> None:
    """One changed byte of a text or of the seed is noticed."""
    made, disclosed = commit(said)
    assert holds(disclosed, triples(made))
    spoiled = [i for i, text in enumerate(said) if text]
    if spoiled:
        which = data.draw(st.sampled_from(spoiled))
        at = data.draw(st.integers(0, len(said[which]) - 1))
        other = bytearray(said[which])
        other[at] ^= data.draw(st.integers(1, 255))
        changed = (*said[:which], bytes(other), *said[which + 1 :])
        assert not holds(Disclosure(disclosed.seed, changed), triples(made))
        seed = bytearray(disclosed.seed)
        seed[data.draw(st.integers(0, 31))] ^= 1
        assert not holds(Disclosure(bytes(seed), disclosed.texts), triples(made))
    assert not holds(Disclosure(disclosed.seed, (*disclosed.texts, b"more")), triples(made))


def test_a_short_word_cannot_be_guessed_from_its_leaf() -> None:
    """The same word has another root each time."""
    assert commit([b"yes"])[0] != commit([b"yes"])[0]
