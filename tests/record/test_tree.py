"""The tree of stored hashes against the plain functions over all leaves, and what it reads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caisey_core.record import tree
from caisey_core.record.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from caisey_core.record.tree import BLOCK, LeavesMissing, StoredTree

LEAVES = [leaf_hash(i.to_bytes(4, "big")) for i in range(6 * BLOCK)]
sizes = st.integers(1, len(LEAVES)) | st.sampled_from([n * BLOCK + d for n in range(1, 6) for d in (-1, 0, 1)])


class Counting:
    """The leaves, and how many were read."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves, self.read = leaves, 0

    def __call__(self, start: int, count: int) -> list[bytes]:
        self.read += count
        return self.leaves[start : start + count]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(sizes, sizes, st.integers(0, len(LEAVES) - 1)), min_size=1, max_size=4))
def test_it_says_what_all_leaves_say(asked: list[tuple[int, int, int]]) -> None:
    """Roots, inclusion and consistency proofs for any sizes in any order are those of RFC 6962 over the leaves."""
    stored = StoredTree(lambda start, count: LEAVES[start : start + count])
    for one, other, index in asked:
        old, size = sorted((one, other))
        leaves = LEAVES[:size]
        assert stored.root(size) == root_of(leaves)
        proof = stored.consistency_proof(old, size)
        assert proof == consistency_proof(leaves, old)
        assert verify_consistency(old, root_of(LEAVES[:old]), size, root_of(leaves), proof)
        at = index % size
        path = stored.inclusion_proof(at, size)
        assert path == inclusion_proof(leaves, at)
        assert verify_inclusion(LEAVES[at], at, size, path, root_of(leaves))


def test_the_empty_log() -> None:
    """It has a root and no proofs."""
    stored = StoredTree(lambda start, count: [])
    assert stored.root(0) == root_of([])
    with pytest.raises(IndexError):
        stored.consistency_proof(0, 1)
    with pytest.raises(IndexError):
        stored.inclusion_proof(0, 0)


def test_a_second_proof_reads_two_blocks_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the log is: only the edges of what is proved are read."""
    read = Counting(LEAVES)
    stored = StoredTree(read)
    stored.consistency_proof(700, 1500)
    read.read = 0
    stored.consistency_proof(301, 1533)
    assert 0 < read.read <= 2 * BLOCK
    read.read = 0
    stored.consistency_proof(2 * BLOCK, 5 * BLOCK)
    assert read.read == 0
    assert stored.stored == 5 * BLOCK
    monkeypatch.setattr(tree, "READ_AT_ONCE", 1)
    assert StoredTree(read).root(1500) == root_of(LEAVES[:1500])


def test_a_log_that_lacks_leaves() -> None:
    """It is said, no root is invented."""
    stored = StoredTree(lambda start, count: LEAVES[start : min(start + count, 300)])
    with pytest.raises(LeavesMissing, match="no leaf 300"):
        stored.root(310)
    with pytest.raises(LeavesMissing):
        stored.root(600)
