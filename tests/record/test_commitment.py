"""Salted commitments: any line can be shown or withheld later, none can be changed."""

import hashlib
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st

from caisey_core.record.commitment import LONGEST_PIECE, Disclosure, commit, holds, lines_of
from caisey_core.record.merkle import leaf_hash, root_of

texts = st.lists(st.binary(max_size=300), max_size=4)


lined = st.lists(st.sampled_from([b"", b"one", b"\n", b"\r", b"x" * 4095, b"y" * 4096]), max_size=6).map(b"".join)


@given(st.binary(max_size=20_000) | lined)
def test_lines_are_the_text(text: bytes) -> None:
    """Cutting loses nothing, makes no piece too long, and cuts where a line ends."""
    lines = lines_of(text)
    assert b"".join(lines) == text
    assert all(0 < len(line) <= LONGEST_PIECE and b"\n" not in line[:-1] for line in lines)
    assert all(line.endswith(b"\n") or len(line) == LONGEST_PIECE for line in lines[:-1])


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


@given(st.lists(lined, max_size=3))
def test_one_text_or_many_one_line_or_many(said: list[bytes]) -> None:
    """Whatever the number of texts and lines, the commitment is the documented one."""
    made, disclosed = commit(said)
    split = [lines_of(text) for text in said]
    salts = BytesIO(hashlib.shake_256(disclosed.seed).digest(16 * sum(map(len, split))))
    for one, text, lines in zip(made, said, split, strict=True):
        assert one.root == root_of([leaf_hash(salts.read(16) + line) for line in lines])
        assert (one.lines, one.size) == (len(lines), len(text))
    assert holds(disclosed.seed, said, made)


@given(texts, st.data())
def test_only_the_very_text_holds(said: list[bytes], data: st.DataObject) -> None:
    """One changed byte of a text or of the seed is noticed."""
    made, disclosed = commit(said)
    assert holds(disclosed.seed, disclosed.texts, made)
    spoiled = [i for i, text in enumerate(said) if text]
    if spoiled:
        which = data.draw(st.sampled_from(spoiled))
        at = data.draw(st.integers(0, len(said[which]) - 1))
        other = bytearray(said[which])
        other[at] ^= data.draw(st.integers(1, 255))
        changed = (*said[:which], bytes(other), *said[which + 1 :])
        assert not holds(disclosed.seed, changed, made)
        seed = bytearray(disclosed.seed)
        seed[data.draw(st.integers(0, 31))] ^= 1
        assert not holds(bytes(seed), disclosed.texts, made)
    assert not holds(disclosed.seed, (*disclosed.texts, b"more"), made)


def test_a_short_word_cannot_be_guessed_from_its_leaf() -> None:
    """The same word has another root each time."""
    assert commit([b"yes"])[0] != commit([b"yes"])[0]
